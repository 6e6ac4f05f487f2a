package main

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// P1: a mutex that nobody else wants.
func lockAndUnlock() sample {
	mu := new(sync.Mutex)
	work := func(count int) {
		for i := 0; i < count; i++ {
			mu.Lock()
			mu.Unlock()
		}
	}
	work(400_000)
	return sample{Value: timeEach(4_000_000, work)}
}

// P2: a read lock that nobody disputes.
func readLockAndUnlock() sample {
	mu := new(sync.RWMutex)
	work := func(count int) {
		for i := 0; i < count; i++ {
			mu.RLock()
			mu.RUnlock()
		}
	}
	work(400_000)
	return sample{Value: timeEach(4_000_000, work)}
}

// P4: many goroutines on one mutex, in milliseconds.
func manyOnOne(goroutines, times int) sample {
	work := func(int) {
		var mu sync.Mutex
		var all sync.WaitGroup
		all.Add(goroutines)
		for i := 0; i < goroutines; i++ {
			go func() {
				for k := 0; k < times; k++ {
					mu.Lock()
					mu.Unlock()
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	work(1)
	return sample{Value: timeEach(1, work) / 1e6}
}

const (
	warmingUp = iota
	measuring
	over
)

// What one contender did, on cache lines of its own. Only it writes there, and the watcher may read a moment late.
type place struct {
	served      uint64
	lastTurn    uint64 // what the shared count was then
	overtaken   uint64 // the most turns of others between two of its own, while measuring
	longestWait int64  // nanoseconds, of the calls that were timed while measuring
	_           [96]byte
	waits       [bins]uint32 // the same calls
	_           [128]byte
}

// Waits are counted in bins that are an eighth of a power of two wide, as in contention_bench.cpp.
const bins = 8 * 40

func binOf(nanoseconds int64) int {
	if nanoseconds < 1 {
		nanoseconds = 1
	}
	wait := uint64(nanoseconds)
	power := bits.Len64(wait) - 1
	eighth := (wait << 3 >> power) & 7
	if bin := power*8 + int(eighth); bin < bins {
		return bin
	}
	return bins - 1
}

// Microseconds that the part `share` of the timed calls waited less.
func waitOf(share float64, places []place) float64 {
	var counts [bins]uint64
	all := uint64(0)
	for i := range places {
		for bin, count := range places[i].waits {
			counts[bin] += uint64(count)
			all += uint64(count)
		}
	}
	bin := 0
	for below := float64(counts[0]); bin+1 < bins && below < share*float64(all); below += float64(counts[bin]) {
		bin++
	}
	return math.Ldexp(1+(float64(bin%8)+0.5)/8, bin/8) / 1e3
}

type arena struct {
	_      [128]byte
	mu     sync.Mutex
	turns  uint64
	_      [112]byte
	now    int32
	_      [124]byte
	places []place
}

//go:noinline
func privateWork(seed uint64, steps int) uint64 {
	for i := 0; i < steps; i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
	}
	return seed
}

var sink uint64

func (a *arena) contend(index, steps int) {
	mine := &a.places[index]
	seed := uint64(index)
	served, lastTurn := uint64(0), uint64(0)
	before := int32(warmingUp)
	for now := int32(warmingUp); now != over; now = atomic.LoadInt32(&a.now) {
		served++
		isTimed := served%64 == 0
		var asked time.Time
		if isTimed {
			asked = time.Now()
		}
		a.mu.Lock()
		var waited int64
		if isTimed {
			waited = time.Since(asked).Nanoseconds()
		}
		a.turns++
		turn := a.turns
		a.mu.Unlock()
		if now == measuring && isTimed {
			mine.waits[binOf(waited)]++
			if waited > mine.longestWait {
				mine.longestWait = waited
			}
		}
		if before == measuring && turn-lastTurn-1 > mine.overtaken {
			mine.overtaken = turn - lastTurn - 1
		}
		before = now
		lastTurn = turn
		mine.lastTurn = turn
		mine.served = served
		seed = privateWork(seed, steps)
	}
	atomic.AddUint64(&sink, seed)
}

func (a *arena) counts() []uint64 {
	all := make([]uint64, len(a.places))
	for i := range a.places {
		all[i] = a.places[i].served
	}
	return all
}

// P3: one mutex that everybody wants. Millions a second; least over most served; the longest wait in milliseconds, known
// in the two ways that contention_bench.cpp explains.
func contention(contenders int, duration time.Duration, steps int) sample {
	a := &arena{places: make([]place, contenders)}
	var all sync.WaitGroup
	all.Add(contenders)
	for i := 0; i < contenders; i++ {
		go func(index int) {
			a.contend(index, steps)
			all.Done()
		}(i)
	}
	time.Sleep(20 * time.Millisecond)
	before := a.counts()
	firstTurn := a.turns
	start := time.Now()
	atomic.StoreInt32(&a.now, measuring)
	time.Sleep(duration)
	served := a.counts()
	finalTurn := a.turns
	elapsed := float64(time.Since(start).Nanoseconds())
	places := append([]place(nil), a.places...)
	atomic.StoreInt32(&a.now, over)
	all.Wait()

	turns := float64(finalTurn - firstTurn)
	least, most, longest := ^uint64(0), uint64(0), 0.0
	for i, each := range places {
		count := served[i] - before[i]
		if count < least {
			least = count
		}
		if count > most {
			most = count
		}
		since, overtaken := each.lastTurn, each.overtaken
		if since < firstTurn {
			since = firstTurn
		}
		if since < finalTurn && finalTurn-since > overtaken {
			overtaken = finalTurn - since
		}
		for _, wait := range []float64{float64(each.longestWait), float64(overtaken) * elapsed / turns} {
			if wait > longest {
				longest = wait
			}
		}
	}
	return sample{turns / elapsed * 1e3,
		[]float64{float64(least) / float64(most), waitOf(0.5, places), waitOf(0.99, places), waitOf(0.999, places), longest / 1e6}}
}

// P5, C1, C2: lookups in a map of 1,000 entries, under an RWMutex or a Mutex; of a hundred calls so many, the others change
// an entry. Millions a second.
func lookups(isRW, reads, goroutines int, duration time.Duration, steps int) sample {
	const entries = 1000
	table := make(map[int]int)
	for i := 0; i < entries; i++ {
		table[i] = i
	}
	var mutex sync.Mutex
	var rwMutex sync.RWMutex
	look := func(random uint64) uint64 {
		return uint64(table[int((random>>20)%entries)]) + privateWork(random, steps)
	}
	change := func(random uint64) uint64 {
		table[int((random>>20)%entries)] = int(random >> 40)
		return privateWork(random, steps)
	}
	isRead := func(random uint64) bool { return random%1000 < uint64(reads)*10 }
	work := func(random uint64) (result uint64) {
		mutex.Lock()
		if isRead(random) {
			result = look(random)
		} else {
			result = change(random)
		}
		mutex.Unlock()
		return
	}
	if isRW != 0 {
		work = func(random uint64) (result uint64) {
			if isRead(random) {
				rwMutex.RLock()
				result = look(random)
				rwMutex.RUnlock()
			} else {
				rwMutex.Lock()
				result = change(random)
				rwMutex.Unlock()
			}
			return
		}
	}
	throughput(goroutines, duration/10, work)
	return sample{Value: throughput(goroutines, duration, work)}
}

// C3: so much work under a mutex and so much outside. Millions of operations a second.
func sections(inside, outside, goroutines int, duration time.Duration) sample {
	var mutex sync.Mutex
	work := func(random uint64) uint64 {
		mutex.Lock()
		result := privateWork(random, inside)
		mutex.Unlock()
		return privateWork(result, outside)
	}
	throughput(goroutines, duration/10, work)
	return sample{Value: throughput(goroutines, duration, work)}
}
