package main

import (
	"runtime"
	"sync"
	"time"
)

// S2: nanoseconds for each yield of so many that are let go at once, when all have their stacks.
func yieldTogether(goroutines, times int) sample {
	var aboutToWait, opened, all sync.WaitGroup
	aboutToWait.Add(goroutines)
	opened.Add(1)
	all.Add(goroutines)
	for i := 0; i < goroutines; i++ {
		go func() {
			aboutToWait.Done()
			opened.Wait()
			for k := 0; k < times; k++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	aboutToWait.Wait()
	start := time.Now()
	opened.Done()
	all.Wait()
	return sample{Value: float64(time.Since(start).Nanoseconds()) / float64(goroutines) / float64(times)}
}

// S4, S5: nanoseconds to lock and unlock a random one of so many; once over all of them before.
func oneOf(count int, lockAndUnlock func(i int)) sample {
	for i := 0; i < count; i++ {
		lockAndUnlock(i)
	}
	random := uint64(0x9e3779b97f4a7c15)
	return sample{Value: timeEach(1_000_000, func(times int) {
		for k := 0; k < times; k++ {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			lockAndUnlock(int((random >> 32) * uint64(count) >> 32))
		}
	})}
}

func oneMutexOf(count int) sample {
	locks := make([]sync.Mutex, count)
	return oneOf(count, func(i int) {
		locks[i].Lock()
		locks[i].Unlock()
	})
}

func oneRWMutexOf(count int) sample {
	locks := make([]sync.RWMutex, count)
	return oneOf(count, func(i int) {
		locks[i].RLock()
		locks[i].RUnlock()
	})
}

// What many wait at, as in scale_bench.cpp.
type gate struct {
	open, pass func()
}

func mutexGate() gate {
	mu := new(sync.Mutex)
	mu.Lock()
	return gate{mu.Unlock, func() { mu.Lock(); mu.Unlock() }}
}

func writersGate() gate {
	mu := new(sync.RWMutex)
	mu.Lock()
	return gate{mu.Unlock, func() { mu.Lock(); mu.Unlock() }}
}

func readersGate() gate {
	mu := new(sync.RWMutex)
	mu.Lock()
	return gate{mu.Unlock, func() { mu.RLock(); mu.RUnlock() }}
}

func waitGroupGate() gate {
	opened := new(sync.WaitGroup)
	opened.Add(1)
	return gate{opened.Done, opened.Wait}
}

func channelGate() gate {
	opened := make(chan int)
	return gate{func() { close(opened) }, func() { <-opened }}
}

func condGate() gate {
	mu := new(sync.Mutex)
	changed := sync.NewCond(mu)
	isOpen := false
	open := func() {
		mu.Lock()
		isOpen = true
		mu.Unlock()
		changed.Broadcast()
	}
	pass := func() {
		mu.Lock()
		for !isOpen {
			changed.Wait()
		}
		mu.Unlock()
	}
	return gate{open, pass}
}

// S6 to S9: nanoseconds for each of so many waiters of each gate, from the opening until the last has passed. A thousand at least.
func passed(waiters int, shut func() gate) sample {
	count := 1000 / waiters
	if count < 1 {
		count = 1
	}
	once := func() float64 {
		gates := make([]gate, count)
		var aboutToWait, woken sync.WaitGroup
		aboutToWait.Add(count * waiters)
		woken.Add(count * waiters)
		for i := range gates {
			gates[i] = shut()
			pass := gates[i].pass
			for k := 0; k < waiters; k++ {
				go func() {
					aboutToWait.Done()
					pass()
					woken.Done()
				}()
			}
		}
		aboutToWait.Wait()
		time.Sleep(200 * time.Microsecond)
		start := time.Now()
		for _, each := range gates {
			each.open()
		}
		woken.Wait()
		return float64(time.Since(start).Nanoseconds()) / float64(count) / float64(waiters)
	}
	once()
	return sample{Value: once()}
}

// S10: nanoseconds to wake one of so many, who waits again.
func notified(waiters, times int) sample {
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	waiting := 0
	for i := 0; i < waiters; i++ {
		go func() {
			mu.Lock()
			for {
				waiting++
				changed.Wait()
			}
		}()
	}
	awaitAll := func() {
		for ; ; runtime.Gosched() {
			mu.Lock()
			all := waiting == waiters
			mu.Unlock()
			if all {
				return
			}
		}
	}
	awaitAll()
	return sample{Value: timeEach(times, func(times int) {
		for i := 0; i < times; i++ {
			mu.Lock()
			waiting--
			mu.Unlock()
			changed.Signal()
			awaitAll()
		}
	})}
}

// S12: nanoseconds to put a call off and stop it, with so many others pending that are due in an hour or two.
func timers(pending int) sample {
	random := uint64(0x9e3779b97f4a7c15)
	putOff := func() *time.Timer {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		return time.AfterFunc(time.Hour+time.Duration(random%3_600_000_000_000), func() {})
	}
	others := make([]*time.Timer, pending)
	for i := range others {
		others[i] = putOff()
	}
	work := func(times int) {
		for i := 0; i < times; i++ {
			putOff().Stop()
		}
	}
	work(20_000)
	result := sample{Value: timeEach(200_000, work)}
	runtime.KeepAlive(others)
	return result
}

// S13: millions of times a second and worker that one of 64 goroutines for each worker locks a mutex of its own and yields.
func apart(workers int) sample {
	const forEachWorker = 64
	work := func(times int) {
		var all sync.WaitGroup
		all.Add(workers * forEachWorker)
		for i := 0; i < workers*forEachWorker; i++ {
			go func() {
				mine := new(sync.Mutex)
				for k := 0; k < times; k++ {
					mine.Lock()
					mine.Unlock()
					runtime.Gosched()
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	work(1000)
	return sample{Value: forEachWorker / timeEach(10_000, work) * 1e3}
}
