package main

import (
	"runtime"
	"sync"
)

func startAndWait(batch int) {
	var all sync.WaitGroup
	for i := 0; i < batch; i++ {
		all.Add(1)
		go func() { all.Done() }()
	}
	all.Wait()
}

// P6: start and wait, nanoseconds for each goroutine.
func goroutinesInBatches(batch, batches int) sample {
	startAndWait(batch)
	return sample{Value: timeEach(batches, func(count int) {
		for i := 0; i < count; i++ {
			startAndWait(batch)
		}
	}) / float64(batch)}
}

// P8: nanoseconds for each yield.
func yieldsAmong(goroutines, times int) sample {
	work := func(times int) {
		var all sync.WaitGroup
		all.Add(goroutines)
		for i := 0; i < goroutines; i++ {
			go func() {
				for k := 0; k < times; k++ {
					runtime.Gosched()
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	work(times / 10)
	return sample{Value: timeEach(times, work) / float64(goroutines)}
}

type secureCounter struct {
	mu    sync.Mutex
	value int
}

func (c *secureCounter) increment() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value++
}

// P12: microseconds for each count to `adders`.
func counted(adders, times int) sample {
	work := func(count int) {
		for i := 0; i < count; i++ {
			var counter secureCounter
			var all sync.WaitGroup
			for k := 0; k < adders; k++ {
				all.Add(1)
				go func() {
					counter.increment()
					all.Done()
				}()
			}
			all.Wait()
		}
	}
	work(10)
	return sample{Value: timeEach(times, work) / 1e3}
}
