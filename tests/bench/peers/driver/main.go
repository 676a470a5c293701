// The load, the observer and the measurements of `make bench-peers`, in one program, so that all times are of one clock.
// It reads a plan (plan.go) as JSON from its standard input, carries it out on the control plane that the plan names, and
// writes one JSON object a line to its standard output for each row that was measured (result.go).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "driver: %v\n", err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var plan Plan
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&plan); err != nil {
		return fmt.Errorf("the plan on standard input: %w", err)
	}
	cluster, err := newCluster(&plan)
	if err != nil {
		return err
	}
	bench := &bench{plan: &plan, cluster: cluster, results: json.NewEncoder(os.Stdout)}
	return bench.carryOut(ctx)
}

var began = time.Now()

// say is progress, for the person who waits.
func say(format string, words ...any) {
	fmt.Fprintf(os.Stderr, "bench-peers: %4.0f s: %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, words...))
}
