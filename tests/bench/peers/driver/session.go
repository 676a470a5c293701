package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// session is one life of one peer: it is started, measured, and all it made is taken away.
type session struct {
	bench     *bench
	size      Size
	peer      *Peer
	run       int
	processes []*process
	endFloor  context.CancelFunc
	first     Result // what is the same in all its rows
}

func (s *session) live(ctx context.Context, rows []Row) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	leads := rows[0].Kind == kindLeader
	command, can := s.commandFor(rows[0])
	if !can {
		return nil
	}
	defer func() {
		s.end()
		if ctx.Err() == nil {
			err = errors.Join(err, s.clear(ctx))
		}
		if ctx.Err() == nil && rows[0].Attack == attackObjects {
			err = errors.Join(err, s.bench.cluster.removeHostile(ctx))
		}
	}()
	if rows[0].Attack == attackObjects {
		if err := s.bench.cluster.makeHostile(ctx); err != nil {
			return err
		}
	}
	if err := s.start(ctx, command, rows[0].Kind != kindAdopt, cancel); err != nil {
		return err
	}
	if leads {
		if err := s.startStandby(ctx, command); err != nil {
			return err
		}
	}
	for i, row := range rows {
		if i > 0 {
			if err := s.bench.refill(ctx, s.size); err != nil {
				return err
			}
			if err := s.bench.rest(ctx); err != nil {
				return err
			}
		}
		if err := s.measure(ctx, row); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

// commandFor a row, and whether the program can be measured in it.
func (s *session) commandFor(row Row) (command []string, can bool) {
	switch {
	case row.Kind == kindLeader:
		return s.peer.LeaderCommand, len(s.peer.LeaderCommand) > 0
	case row.Attack == attackClients:
		return s.peer.OpenCommand, len(s.peer.OpenCommand) > 0
	}
	return s.peer.Command, row.Kind != kindAdopt || s.peer.publishes()
}

// attack goes on until it is ended, which waits for it.
func (s *session) attack(ctx context.Context, row Row) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	switch row.Attack {
	case attackObjects:
		group.Go(func() { s.bench.cluster.keepChanging(ctx) })
	case attackClients:
		group.Go(func() { attackPorts(ctx, s.peer.Ports) })
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func (s *session) launch(command []string) error {
	name := fmt.Sprintf("%s-%d-of-%d-%d", s.peer.Name, s.size.Pods, s.size.Pools, s.run)
	p, err := startProcess(command, []string{"KUBECONFIG=" + s.bench.plan.Kubeconfig}, s.bench.plan.Logs, name)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return err
}

// start the program over pods that are there, and wait for the first right list and, if asked to, for rest.
func (s *session) start(ctx context.Context, command []string, untilRest bool, failed context.CancelCauseFunc) error {
	b := s.bench
	say("run %d, %s, %d pods in %d pools: starting", s.run, s.peer.Name, s.size.Pods, s.size.Pools)
	if err := b.cluster.makePools(ctx, s.peer.Pools, s.size.Pools); err != nil {
		return err
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	before, err := b.cluster.counters(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	switch {
	case s.peer.Floor:
		var floorContext context.Context
		floorContext, s.endFloor = context.WithCancel(ctx)
		startFloor(floorContext, b.cluster, b.book, s.size.Pools, b.nodes(s.size), failed)
	case len(command) > 0:
		if err := s.launch(command); err != nil {
			return err
		}
	}
	if s.peer.publishes() {
		if err := s.untilRight(ctx, 3*seconds(b.plan.Patience)); err != nil {
			return err
		}
		s.first.Start = time.Since(started).Seconds()
		say("run %d, %s: first right list after %.2f s", s.run, s.peer.Name, s.first.Start)
	}
	if untilRest {
		if err := b.rest(ctx); err != nil {
			return err
		}
	}
	after, err := b.cluster.counters(ctx)
	if err != nil {
		return err
	}
	s.first.StartWork = after.since(before)
	if len(s.processes) > 0 {
		s.first.Resident, s.first.PeakStart = memory(s.processes[0].pid())
		used, err := cpuTime(s.processes[0].pid())
		if err != nil {
			return err
		}
		s.first.StartCPU = used.Seconds()
	}
	return nil
}

// startStandby: whoever runs alone leads, so the second one does not.
func (s *session) startStandby(ctx context.Context, command []string) error {
	if err := s.launch(command); err != nil {
		return err
	}
	return s.bench.rest(ctx)
}

func (s *session) isRight() bool {
	listed, ready := s.bench.book.listed()
	return listed == ready
}

func (s *session) untilRight(ctx context.Context, patience time.Duration) error {
	err := s.bench.until(ctx, patience, "the lists are right", func() bool { return s.isRight() || s.hasDied() })
	if s.hasDied() {
		return errors.Join(err, fmt.Errorf("the program ended; its log is %s", s.processes[0].log))
	}
	return err
}

func (s *session) hasDied() bool { return len(s.processes) > 0 && s.processes[0].hasEnded() }

func (s *session) end() {
	for _, p := range s.processes {
		p.stop()
	}
	if s.endFloor != nil {
		s.endFloor()
	}
}

// clear takes away what was made for this life and in it, and fills up the pods again.
func (s *session) clear(ctx context.Context) error {
	b := s.bench
	if err := b.cluster.removePools(ctx); err != nil {
		return err
	}
	// Whatever the garbage collector and the EndpointSlice controller still do for what is gone.
	if err := b.until(ctx, 2*time.Minute, "lists and EndpointSlices are gone", func() bool {
		listed, _ := b.book.listed()
		return listed == 0 && b.book.sliced() == 0
	}); err != nil {
		return err
	}
	if err := b.refill(ctx, s.size); err != nil {
		return err
	}
	return b.strip(ctx)
}

// serverCPU of all components of the control plane, by name.
func (s *session) serverCPU() map[string]time.Duration {
	out := map[string]time.Duration{}
	for name, pid := range s.bench.plan.Server {
		if used, err := cpuTime(pid); err == nil {
			out[strings.TrimPrefix(name, "kube-")] = used
		}
	}
	return out
}
