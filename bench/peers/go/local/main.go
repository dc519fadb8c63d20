// The workloads of suite `local` in Go, as a contender that bench.hpp runs in its rounds:
//
//	local list                 prints lines `WORKLOAD THREADS`
//	local WORKLOAD THREADS     warms up, measures once, prints the seconds of one item
//
// The definitions are those of bench/local.cpp.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func empty(done chan struct{}) { close(done) }

func spawnJoinOne(n, _ int) {
	for i := 0; i < n; i++ {
		done := make(chan struct{})
		go empty(done)
		<-done
	}
}

func spawnBatch(n, _ int) {
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go all.Done()
	}
	all.Wait()
}

func yields(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

func yield2tasks(n, _ int) {
	done := make(chan struct{})
	go func() {
		yields(n / 2)
		close(done)
	}()
	yields(n / 2)
	<-done
}

func pingpong(n, _ int) {
	there, back := make(chan int64), make(chan int64)
	go func() {
		for v := range there {
			back <- v
		}
		close(back)
	}()
	for i := 0; i < n; i++ {
		there <- int64(i)
		<-back
	}
	close(there)
	<-back
}

func pipe(capacity, pairs int) func(n, t int) {
	return func(n, _ int) {
		c := make(chan int64, capacity)
		var in, out sync.WaitGroup
		for p := 0; p < pairs; p++ {
			in.Add(1)
			out.Add(1)
			go func() {
				defer in.Done()
				for i := 0; i < n/pairs; i++ {
					c <- int64(i)
				}
			}()
			go func() {
				defer out.Done()
				for range c {
				}
			}()
		}
		in.Wait()
		close(c)
		out.Wait()
	}
}

var sink atomic.Int64

func turns(work int) {
	foo := 0
	for i := 0; i < work; i++ {
		foo *= 2
		foo /= 2
	}
	if foo != 0 {
		sink.Store(int64(foo))
	}
}

func prodcons(capacity, work int) func(n, t int) {
	return func(n, t int) {
		var left atomic.Int64
		left.Store(int64(n / 1000))
		c := make(chan int, capacity)
		var in, out sync.WaitGroup
		for p := 0; p < t; p++ {
			in.Add(1)
			out.Add(1)
			go func() {
				defer in.Done()
				for left.Add(-1) >= 0 {
					for i := 0; i < 1000; i++ {
						turns(work)
						c <- 1
					}
				}
			}()
			go func() {
				defer out.Done()
				for range c {
					turns(work)
				}
			}()
		}
		in.Wait()
		close(c)
		out.Wait()
	}
}

func selectFrom(a, b chan int64, n int) {
	for i := 0; i < n; i++ {
		select {
		case v := <-a:
			b <- v
		case v := <-b:
			a <- v
		}
	}
}

func inEach(t int, f func()) {
	var all sync.WaitGroup
	all.Add(t)
	for i := 0; i < t; i++ {
		go func() {
			defer all.Done()
			f()
		}()
	}
	all.Wait()
}

func selectUncontended(n, t int) {
	inEach(t, func() {
		a, b := make(chan int64, 1), make(chan int64, 1)
		a <- 0
		selectFrom(a, b, n/t)
	})
}

func selectAsyncContended(n, t int) {
	a, b := make(chan int64, t), make(chan int64, t)
	for i := 0; i < t; i++ {
		a <- 0
	}
	inEach(t, func() { selectFrom(a, b, n/t) })
}

func feed(out chan int64, done chan struct{}) {
	for {
		select {
		case out <- 0:
		case <-done:
			return
		}
	}
}

func selectContended(capacity int, one bool) func(n, t int) {
	return func(n, t int) {
		if one {
			t = 1
		}
		a, b, c := make(chan int64, capacity), make(chan int64, capacity), make(chan int64, capacity)
		done := make(chan struct{})
		for i := 0; i < t; i++ {
			go feed(a, done)
			go feed(b, done)
			go feed(c, done)
		}
		inEach(t, func() {
			for i := 0; i < n/t; i++ {
				select {
				case <-a:
				case <-b:
				case <-c:
				}
			}
		})
		close(done)
	}
}

func selectDefaultEmpty(n, _ int) {
	c := make(chan int64)
	for i := 0; i < n; i++ {
		select {
		case <-c:
		default:
		}
	}
}

var workloads = []struct {
	name  string
	items int
	run   func(n, t int)
}{
	{"spawn_join_one", 300_000, spawnJoinOne},
	{"spawn_batch_100k", 100_000, spawnBatch},
	{"yield_2tasks", 1_000_000, yield2tasks},
	{"pingpong_unbuf", 300_000, pingpong},
	{"chan_1p1c_cap128", 1_000_000, pipe(128, 1)},
	{"chan_1p1c_cap1", 1_000_000, pipe(1, 1)},
	{"chan_4p4c_cap128", 1_000_000, pipe(128, 4)},
	{"chan_prodcons_0", 1_000_000, prodcons(0, 0)},
	{"chan_prodcons_10", 1_000_000, prodcons(10, 0)},
	{"chan_prodcons_100", 1_000_000, prodcons(100, 0)},
	{"chan_prodcons_work_100", 1_000_000, prodcons(100, 100)},
	{"select_uncontended", 1_000_000, selectUncontended},
	{"select_sync_contended", 500_000, selectContended(0, false)},
	{"select_contended_1sel", 500_000, selectContended(1, true)},
	{"select_async_contended", 1_000_000, selectAsyncContended},
	{"select_default_empty", 1_000_000, selectDefaultEmpty},
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "list" {
		for _, w := range workloads {
			fmt.Println(w.name, 1)
			fmt.Println(w.name, 2)
		}
		return
	}
	if len(os.Args) == 3 {
		threads, err := strconv.Atoi(os.Args[2])
		for _, w := range workloads {
			if w.name != os.Args[1] || err != nil || threads < 1 {
				continue
			}
			runtime.GOMAXPROCS(threads)
			w.run(w.items, threads)
			start := time.Now()
			w.run(w.items, threads)
			fmt.Println(time.Since(start).Seconds() / float64(w.items))
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: local list | WORKLOAD THREADS")
	os.Exit(2)
}
