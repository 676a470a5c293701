package main

import (
	"math"
	"slices"
	"time"
)

// Spread of latencies, in milliseconds.
type Spread struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// spreadOf uses the nearest rank: each figure is one that was measured.
func spreadOf(latencies []time.Duration) Spread {
	if len(latencies) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(latencies))
	at := func(share float64) float64 {
		rank := int(math.Ceil(share*float64(len(sorted)))) - 1
		return milliseconds(sorted[max(rank, 0)])
	}
	return Spread{Count: len(sorted), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}

func milliseconds(duration time.Duration) float64 {
	return math.Round(float64(duration)/float64(time.Millisecond)*1000) / 1000
}
