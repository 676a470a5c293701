package main

// Result is one row that was measured, of one run and one peer.
type Result struct {
	Run  int    `json:"run"`
	Peer string `json:"peer"`
	Row  string `json:"row"`
	Kind string `json:"kind"`
	// What was done to the program meanwhile; may be empty.
	Attack string `json:"attack"`
	Pods   int    `json:"pods"`
	Pools  int    `json:"pools"`

	Deletes    int    `json:"deletes"`
	Lists      Spread `json:"lists"`       // terminating event to the list without it, ms
	Late       int    `json:"late"`        // never seen to be off the list
	Slices     Spread `json:"slices"`      // the same to Kubernetes' own EndpointSlice
	LateSlices int    `json:"late_slices"` // never seen to be off it
	Right      bool   `json:"right"`       // at rest the lists are what the pods say

	CPU       float64            `json:"cpu_ms_per_delete"`
	ServerCPU map[string]float64 `json:"server_cpu_ms_per_delete"` // by component
	Resident  float64            `json:"resident_mib"`             // at rest, before the row
	PeakStart float64            `json:"peak_start_mib"`           // until that rest
	Peak      float64            `json:"peak_mib"`                 // until the end of the row
	Start     float64            `json:"start_s"`                  // from the program's start to the first right list
	StartCPU  float64            `json:"start_cpu_s"`              // until it came to rest
	StartWork Counters           `json:"start_counters"`           // at the API server, from the program's start to its rest
	Counters  Counters           `json:"counters"`                 // from the first delete to rest
	Foreign   float64            `json:"foreign_share"`            // of the machine, used by others during the row
	Seconds   float64            `json:"seconds"`                  // from the first delete to the last withdrawal
}
