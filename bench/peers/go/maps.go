package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const entries = 1_000_000

func name(i int) string { return fmt.Sprintf("key-%016d", i) }

// P13: loads and stores of a filled sync.Map for a time, with numbers or texts as keys; millions of operations a second.
// Of a thousand operations so many are stores.
func syncMap(hasTexts, goroutines, stores int, duration time.Duration) sample {
	texts := make([]string, entries*hasTexts)
	for i := range texts {
		texts[i] = name(i)
	}
	var table sync.Map
	// Two functions rather than one key of type any: to make that of a number or a text is part of the work.
	look := func(i int) bool { _, found := table.Load(i); return found }
	put := func(i, value int) { table.Store(i, value) }
	if hasTexts != 0 {
		look = func(i int) bool { _, found := table.Load(texts[i]); return found }
		put = func(i, value int) { table.Store(texts[i], value) }
	}
	for i := 0; i < entries; i++ {
		put(i, i)
	}
	// Makes all entries readable without a lock, which would take a million failed loads otherwise.
	table.Range(func(key, value any) bool { return false })
	work := func(random uint64) uint64 {
		i := int((random >> 20) % entries)
		if random%1000 < uint64(stores) {
			put(i, int(random>>40))
			return 0
		}
		if look(i) {
			return 1
		}
		return 0
	}
	throughput(goroutines, duration/10, work)
	return sample{Value: throughput(goroutines, duration, work)}
}

// Millions of calls of f a second, in so many goroutines. f is given a random number, and what it returns is used.
func throughput(goroutines int, duration time.Duration, f func(random uint64) uint64) float64 {
	var over int32
	var calls uint64
	var all sync.WaitGroup
	all.Add(goroutines)
	start := time.Now()
	for g := 1; g <= goroutines; g++ {
		go func(random uint64) {
			sum, done := uint64(0), uint64(0)
			for atomic.LoadInt32(&over) == 0 {
				for i := 0; i < 64; i++ {
					random ^= random << 13
					random ^= random >> 7
					random ^= random << 17
					sum += f(random)
				}
				done += 64
			}
			atomic.AddUint64(&sink, sum)
			atomic.AddUint64(&calls, done)
			all.Done()
		}(0x9e3779b97f4a7c15 * uint64(g))
	}
	time.Sleep(duration)
	atomic.StoreInt32(&over, 1)
	all.Wait()
	return float64(calls) / float64(time.Since(start).Nanoseconds()) * 1e3
}
