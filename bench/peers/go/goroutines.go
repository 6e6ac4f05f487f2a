package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
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

func residentBytes() float64 {
	var size, resident int64
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident)
	}
	if err != nil {
		fail("%v", err)
	}
	return float64(resident) * float64(os.Getpagesize())
}

// P7: nanoseconds and bytes for each of so many goroutines that wait.
func parked(goroutines int) sample {
	never := make(chan int)
	startAll := func(count int) {
		var aboutToWait sync.WaitGroup
		aboutToWait.Add(count)
		for i := 0; i < count; i++ {
			go func() {
				aboutToWait.Done()
				<-never
			}()
		}
		aboutToWait.Wait()
	}
	startAll(1000)
	before := residentBytes()
	start := time.Now()
	startAll(goroutines)
	elapsed := float64(time.Since(start).Nanoseconds())
	count := float64(goroutines)
	return sample{elapsed / count, []float64{(residentBytes() - before) / count}}
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
