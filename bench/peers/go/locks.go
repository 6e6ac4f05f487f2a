package main

import (
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
		if now == measuring && waited > mine.longestWait {
			mine.longestWait = waited
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
	return sample{turns / elapsed * 1e3, []float64{float64(least) / float64(most), longest / 1e6}}
}
