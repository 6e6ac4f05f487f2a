// The contenders that are written in Go. Each run measures one workload, once, after a warm-up of its own:
//
//	go_peer WORKLOAD PARAMETERS...
//
// and prints one line: {"value":14.9,"figures":[]}, in the unit of the benchmark of the same work in C++.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

type sample struct {
	Value   float64   `json:"value"`
	Figures []float64 `json:"figures"`
}

// A workload, and how many parameters it takes.
type workload struct {
	parameters int
	measure    func(parameters []int) sample
}

var workloads = map[string]workload{
	"mutex":        {0, func([]int) sample { return lockAndUnlock() }},
	"mutex_crowd":  {2, func(p []int) sample { return manyOnOne(p[0], p[1]) }},
	"contention":   {3, func(p []int) sample { return contention(p[0], time.Duration(p[1])*time.Millisecond, p[2]) }},
	"rwmutex":      {0, func([]int) sample { return readLockAndUnlock() }},
	"lookups":      {5, func(p []int) sample { return lookups(p[0], p[1], p[2], time.Duration(p[3])*time.Millisecond, p[4]) }},
	"section":      {4, func(p []int) sample { return sections(p[0], p[1], p[2], time.Duration(p[3])*time.Millisecond) }},
	"size_mutex":   {0, func([]int) sample { return sample{Value: float64(unsafe.Sizeof(sync.Mutex{}))} }},
	"size_rwmutex": {0, func([]int) sample { return sample{Value: float64(unsafe.Sizeof(sync.RWMutex{}))} }},
	"parked":       {1, func(p []int) sample { return parked(p[0]) }},
	"start":        {2, func(p []int) sample { return goroutinesInBatches(p[0], p[1]) }},
	"yield":        {2, func(p []int) sample { return yieldsAmong(p[0], p[1]) }},
	"count":        {2, func(p []int) sample { return counted(p[0], p[1]) }},
	"ping_pong":    {1, func(p []int) sample { return pingPong(p[0]) }},
	"buffered":     {3, func(p []int) sample { return throughBuffer(p[0], p[1], p[2]) }},
	"select":       {2, func(p []int) sample { return selectAmongTwo(p[0], p[1]) }},
	"sync_map":     {4, func(p []int) sample { return syncMap(p[0], p[1], p[2], time.Duration(p[3])*time.Millisecond) }},

	"yield_together":  {2, func(p []int) sample { return yieldTogether(p[0], p[1]) }},
	"one_mutex_of":    {1, func(p []int) sample { return oneMutexOf(p[0]) }},
	"one_rwmutex_of":  {1, func(p []int) sample { return oneRWMutexOf(p[0]) }},
	"pass_mutex":      {1, func(p []int) sample { return passed(p[0], mutexGate) }},
	"pass_writers":    {1, func(p []int) sample { return passed(p[0], writersGate) }},
	"pass_readers":    {1, func(p []int) sample { return passed(p[0], readersGate) }},
	"pass_wait_group": {1, func(p []int) sample { return passed(p[0], waitGroupGate) }},
	"pass_channel":    {1, func(p []int) sample { return passed(p[0], channelGate) }},
	"pass_cond":       {1, func(p []int) sample { return passed(p[0], condGate) }},
	"notify":          {2, func(p []int) sample { return notified(p[0], p[1]) }},
	"timers":          {1, func(p []int) sample { return timers(p[0]) }},
	"apart":           {1, func(p []int) sample { return apart(p[0]) }},
}

// Nanoseconds that each of count calls of f takes, where f is told how often it has to do its work.
func timeEach(count int, f func(count int)) float64 {
	start := time.Now()
	f(count)
	return float64(time.Since(start).Nanoseconds()) / float64(count)
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "go_peer: "+format+"\n", arguments...)
	os.Exit(2)
}

func main() {
	if len(os.Args) < 2 {
		fail("usage: go_peer WORKLOAD PARAMETERS...")
	}
	if os.Args[1] == "version" {
		fmt.Printf("{\"versions\":[%q]}\n", "Go "+strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	chosen, known := workloads[os.Args[1]]
	if !known || len(os.Args)-2 != chosen.parameters {
		fail("no workload %q with %d parameters", os.Args[1], len(os.Args)-2)
	}
	parameters := make([]int, 0, chosen.parameters)
	for _, text := range os.Args[2:] {
		number, err := strconv.Atoi(text)
		if err != nil {
			fail("%v", err)
		}
		parameters = append(parameters, number)
	}
	result := chosen.measure(parameters)
	if result.Figures == nil {
		result.Figures = []float64{}
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail("%v", err)
	}
}
