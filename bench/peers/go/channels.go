package main

import (
	"sync"
	"sync/atomic"
)

func sendNumbers(to chan<- int, count int) {
	for i := 0; i < count; i++ {
		to <- i
	}
}

func receiveNumbers(from <-chan int, count int) {
	sum := uint64(0)
	for i := 0; i < count; i++ {
		sum += uint64(<-from)
	}
	atomic.AddUint64(&sink, sum)
}

// Runs all of them as goroutines, and waits.
func together(all ...func()) {
	var done sync.WaitGroup
	done.Add(len(all))
	for _, each := range all {
		go func(f func()) {
			f()
			done.Done()
		}(each)
	}
	done.Wait()
}

// P9: nanoseconds for each round trip.
func pingPong(count int) sample {
	work := func(count int) {
		there, back := make(chan int), make(chan int)
		together(func() {
			for i := 0; i < count; i++ {
				there <- i
				<-back
			}
		}, func() {
			for i := 0; i < count; i++ {
				back <- <-there
			}
		})
	}
	work(count / 10)
	return sample{Value: timeEach(count, work)}
}

// P10: nanoseconds for each element.
func throughBuffer(capacity, pairs, count int) sample {
	work := func(count int) {
		buffer := make(chan int, capacity)
		var all []func()
		for i := 0; i < pairs; i++ {
			all = append(all, func() { sendNumbers(buffer, count/pairs) }, func() { receiveNumbers(buffer, count/pairs) })
		}
		together(all...)
	}
	work(count / 10)
	return sample{Value: timeEach(count, work)}
}

// P11: nanoseconds for each element.
func selectAmongTwo(capacity, count int) sample {
	work := func(count int) {
		a, b := make(chan int, capacity), make(chan int, capacity)
		together(func() { sendNumbers(a, count/2) }, func() { sendNumbers(b, count/2) }, func() {
			sum := uint64(0)
			for i := 0; i < count; i++ {
				select {
				case v := <-a:
					sum += uint64(v)
				case v := <-b:
					sum += uint64(v)
				}
			}
			atomic.AddUint64(&sink, sum)
		})
	}
	work(count / 10)
	return sample{Value: timeEach(count, work)}
}
