package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// usage of processors at one moment.
type usage struct {
	peer, own, busy, all time.Duration
	server               map[string]time.Duration
}

func (s *session) usage() usage {
	var now usage
	for _, p := range s.processes {
		if !p.hasEnded() {
			used, _ := cpuTime(p.pid())
			now.peer += used
		}
	}
	now.own, _ = cpuTime(os.Getpid())
	now.busy, now.all = machineTime()
	now.server = s.serverCPU()
	return now
}

// foreignShare of the machine that others used meanwhile.
func (before usage) foreignShare(after usage) float64 {
	ours := after.peer - before.peer + after.own - before.own
	for name, used := range after.server {
		ours += used - before.server[name]
	}
	all := after.all - before.all
	if all <= 0 {
		return 0
	}
	return max(0, float64(after.busy-before.busy-ours)/float64(all))
}

// measure one row; the program is at rest.
func (s *session) measure(ctx context.Context, row Row) error {
	b := s.bench
	result := s.first
	result.Run, result.Peer, result.Row, result.Kind = s.run, s.peer.Name, row.Name, row.Kind
	result.Pods, result.Pools, result.Attack = s.size.Pods, s.size.Pools, row.Attack
	if len(s.processes) > 0 {
		result.Resident, _ = memory(s.processes[0].pid())
	}
	victims := s.victims(row)
	counters, err := b.cluster.counters(ctx)
	if err != nil {
		return err
	}
	if row.Kind != kindAdopt { // what the reading of the counters cost
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	endAttack := s.attack(ctx, row)
	before, started := s.usage(), time.Now()
	err = s.deleteAll(ctx, row, victims)
	withdrawn := func() bool { return b.book.isWithdrawn(s.peer.publishes()) }
	if err == nil {
		if late := b.until(ctx, seconds(b.plan.Patience), "all are withdrawn", withdrawn); late != nil {
			say("%v", late)
		}
	}
	endAttack()
	if err != nil {
		return err
	}
	if row.Kind != kindLeader && s.hasDied() {
		return fmt.Errorf("the program ended during %s; its log is %s", row.Name, s.processes[0].log)
	}
	result.Seconds = time.Since(started).Seconds()
	result.Foreign = before.foreignShare(s.usage())
	if err := b.rest(ctx); err != nil {
		return err
	}
	s.account(&result, before, row)
	countersAfter, err := b.cluster.counters(ctx)
	if err != nil {
		return err
	}
	result.Counters = countersAfter.since(counters)
	b.book.forget()
	say("run %d, %s, %s: p50 %.1f, p99 %.1f, max %.1f ms; CPU %.2f ms a delete; slices p50 %.1f ms; others %.0f %%", s.run,
		s.peer.Name, row.Name, result.Lists.P50, result.Lists.P99, result.Lists.Max, result.CPU, result.Slices.P50,
		result.Foreign*100)
	return b.results.Encode(result)
}

func (s *session) account(result *Result, before usage, row Row) {
	after := s.usage()
	out := s.bench.book.outcome()
	result.Deletes = out.deletes
	result.Lists, result.Late = spreadOf(out.lists), out.late
	result.Slices, result.LateSlices = spreadOf(out.slices), out.lateSlices
	if !s.peer.publishes() {
		result.Late = 0
	}
	result.Right = !s.peer.publishes() || s.isRight()
	each := func(used time.Duration) float64 { return milliseconds(used) / float64(max(out.deletes, 1)) }
	if row.Kind != kindLeader { // of whom one has died
		result.CPU = each(after.peer - before.peer)
	}
	result.ServerCPU = map[string]float64{}
	for name, used := range after.server {
		result.ServerCPU[name] = each(used - before.server[name])
	}
	for _, p := range s.processes {
		if !p.hasEnded() {
			_, result.Peak = memory(p.pid())
		}
	}
}

// victims of a row, in the order in which they go: pool after pool, or all of the first node.
func (s *session) victims(row Row) []string {
	ready := s.bench.book.podsThat(func(pod knownPod) bool { return pod.ready })
	if row.Kind == kindNode {
		maps.DeleteFunc(ready, func(_ string, pod knownPod) bool { return pod.node != nodeName(0) })
		return slices.Sorted(maps.Keys(ready))
	}
	byPool := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(ready)) {
		pool := ready[name].pool
		byPool[pool] = append(byPool[pool], name)
	}
	var victims []string
	for turn := 0; len(victims) < row.Deletes && turn < s.size.Pods; turn++ {
		for _, pool := range slices.Sorted(maps.Keys(byPool)) {
			if turn < len(byPool[pool]) && len(victims) < row.Deletes {
				victims = append(victims, byPool[pool][turn])
			}
		}
	}
	return victims
}

// deleteAll at the row's pace; a late answer holds up nobody.
func (s *session) deleteAll(ctx context.Context, row Row, victims []string) error {
	deletePod := func(ctx context.Context, name string) error {
		s.bench.book.expect(name)
		return s.bench.cluster.deletePod(ctx, name)
	}
	if row.Kind == kindNode {
		return inParallel(ctx, victims, deletePod)
	}
	var group sync.WaitGroup
	failures := make(chan error, len(victims))
	started := time.Now()
	for i, name := range victims {
		if row.Kind == kindLeader && i == len(victims)/3 {
			s.processes[0].kill()
		}
		if err := sleep(ctx, time.Until(started.Add(seconds(float64(i)/row.Rate)))); err != nil {
			return err
		}
		group.Go(func() {
			if err := deletePod(ctx, name); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}
