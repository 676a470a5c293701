package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// bench carries the plan out. One goroutine; the book is what it shares with the watches.
type bench struct {
	plan    *Plan
	cluster *cluster
	results *json.Encoder
	book    *book
}

// carryOut measures size by size; each size's runs after each other, each run's peers after each other.
func (b *bench) carryOut(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b.book = newBook()
	if err := b.cluster.removePools(ctx); err != nil {
		return err
	}
	if err := b.cluster.observe(ctx, b.book, func(err error) { cancel(err) }); err != nil {
		return err
	}
	for _, size := range b.plan.Sizes {
		if err := b.measureSize(ctx, size); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

func (b *bench) measureSize(ctx context.Context, size Size) error {
	say("%d pods in %d pools: making them", size.Pods, size.Pools)
	if err := b.cluster.makeNodes(ctx, b.nodes(size)); err != nil {
		return err
	}
	if err := b.refill(ctx, size); err != nil {
		return err
	}
	for run := range b.plan.Runs {
		for i := range b.plan.Peers {
			for _, rows := range lives(size.Rows) {
				session := &session{bench: b, size: size, peer: &b.plan.Peers[i], run: run + 1}
				if err := session.live(ctx, rows); err != nil {
					return fmt.Errorf("%s: %w", session.peer.Name, err)
				}
			}
		}
	}
	return nil
}

// lives: rows that one life of a program can serve are measured in one. Adoption, a killed leader and each attack take one
// each.
func lives(rows []Row) [][]Row {
	var plain []Row
	var out [][]Row
	for _, row := range rows {
		if row.Kind == kindAdopt || row.Kind == kindLeader || row.Attack != "" {
			out = append(out, []Row{row})
		} else {
			plain = append(plain, row)
		}
	}
	if len(plain) > 0 {
		out = append([][]Row{plain}, out...)
	}
	return out
}

func (b *bench) nodes(size Size) int { return max(1, size.Pods/b.plan.PodsOnNode) }

// refill: terminating pods go, and each place has a pod again. Pods of another size go too.
func (b *bench) refill(ctx context.Context, size Size) error {
	wanted := map[place]int{}
	for number := range size.Pods {
		wanted[b.placeOf(size, number)]++
	}
	var remove []string
	for name, pod := range b.book.podsThat(func(knownPod) bool { return true }) {
		at := place{pod.pool, pod.node}
		if !pod.ready || wanted[at] == 0 {
			remove = append(remove, name)
			continue
		}
		wanted[at]--
	}
	if err := b.cluster.removePods(ctx, remove); err != nil {
		return err
	}
	var places []place
	for at, count := range wanted {
		for range count {
			places = append(places, at)
		}
	}
	if err := b.cluster.makePods(ctx, places); err != nil {
		return err
	}
	return b.until(ctx, time.Minute, "the observer has seen all pods", func() bool {
		_, ready := b.book.listed()
		return ready == size.Pods && len(b.book.podsThat(func(pod knownPod) bool { return !pod.ready })) == 0
	})
}

// placeOf: pods of a pool are on all nodes, pods of a node in all pools.
func (b *bench) placeOf(size Size, number int) place {
	return place{pool: poolName(number % size.Pools), node: nodeName(number / size.Pools % b.nodes(size))}
}

// strip what an operator wrote to pods, so that each program starts with the same ones.
func (b *bench) strip(ctx context.Context) error {
	labelled := b.book.podsThat(func(pod knownPod) bool { return pod.labelled })
	return b.cluster.stripPods(ctx, slices.Collect(maps.Keys(labelled)))
}

// Poolwarden labels 10,000 pods that it finds in seven minutes.
func (b *bench) rest(ctx context.Context) error {
	return b.cluster.rest(ctx, seconds(b.plan.QuietFor), 12*seconds(b.plan.Patience))
}

// until the condition holds.
func (b *bench) until(ctx context.Context, patience time.Duration, what string, condition func() bool) error {
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v, not yet: %s", patience, what)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
