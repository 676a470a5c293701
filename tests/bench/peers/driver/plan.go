package main

import "time"

// Plan is what is to be measured, and where.
type Plan struct {
	Kubeconfig string         `json:"kubeconfig"`
	Etcd       string         `json:"etcd"`      // its URL
	Namespace  string         `json:"namespace"` // of pods and pools; exists
	Logs       string         `json:"logs"`      // folder of the programs' logs
	Server     map[string]int `json:"server"`    // process ids of the control plane's components
	Runs       int            `json:"runs"`
	PodsOnNode int            `json:"pods_on_node"`
	QuietFor   float64        `json:"quiet_for"` // seconds without a write before anything is measured
	Patience   float64        `json:"patience"`  // seconds after which a pod that is still listed is given up
	Sizes      []Size         `json:"sizes"`
	Peers      []Peer         `json:"peers"`
}

// Size of the cluster, and what is measured on it.
type Size struct {
	Pods  int   `json:"pods"`
	Pools int   `json:"pools"`
	Rows  []Row `json:"rows"`
}

// How the pods of a row go away.
const (
	kindRate   = "rate"   // one by one, steadily
	kindNode   = "node"   // all of a node at once
	kindAdopt  = "adopt"  // as "rate", from the moment of the first right list
	kindLeader = "leader" // as "rate", and the leader is killed after a third
)

// Row of the table.
type Row struct {
	Name    string  `json:"name"`
	Kind    string  `json:"kind"`
	Rate    float64 `json:"rate"` // deletes a second
	Deletes int     `json:"deletes"`
	Attack  string  `json:"attack"` // what is done to the program meanwhile (attack.go); may be empty
}

// How a peer learns which pools there are.
const (
	poolsNone     = "none"
	poolsServices = "services"         // the harness makes a Service for each
	poolsBudgets  = "services+budgets" // and a budget like Poolwarden's
	poolsResource = "inferencepools"
)

// Peer is a program, or Kubernetes alone.
type Peer struct {
	Name          string   `json:"name"`
	Command       []string `json:"command"`        // empty: Kubernetes alone, or the floor
	LeaderCommand []string `json:"leader_command"` // with leader election; empty: it has none
	OpenCommand   []string `json:"open_command"`   // with ports; empty: it has none
	Ports         []string `json:"ports"`          // of the open command, as host:port
	Pools         string   `json:"pools"`
	Floor         bool     `json:"floor"` // the driver itself writes the lists, as bare PUTs
}

func (p *Peer) publishes() bool { return len(p.Command) > 0 || p.Floor }

func seconds(count float64) time.Duration { return time.Duration(count * float64(time.Second)) }
