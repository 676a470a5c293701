// Package document is the list that every program of the comparison publishes: docs/contract.md, "The list".
package document

import (
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What the list's ConfigMap carries besides its data.
const (
	PoolLabel           = "poolwarden.io/pool"
	ManagedByLabel      = "app.kubernetes.io/managed-by"
	RevisionAnnotation  = "poolwarden.io/revision"
	PodsAnnotation      = "poolwarden.io/pods-resource-version"
	TriggeredAnnotation = "endpoints.kubernetes.io/last-change-trigger-time"

	JSONKey = "endpoints.json"
	TextKey = "endpoints.txt"
)

// ListName of a pool.
func ListName(pool string) string { return pool + "-endpoints" }

// Port of an endpoint. Here as below the fields are in the order of their keys: the document is canonical.
type Port struct {
	Name   string `json:"name,omitempty"`
	Number int32  `json:"number"`
}

// Endpoint is one pod.
type Endpoint struct {
	IP    string `json:"ip"`
	Node  string `json:"node"`
	Pod   string `json:"pod"`
	Ports []Port `json:"ports"`
	State string `json:"state"`
	UID   string `json:"uid"`
	Zone  string `json:"zone,omitempty"`
}

// Set is all endpoints of a pool.
type Set struct {
	APIVersion string     `json:"apiVersion"`
	Endpoints  []Endpoint `json:"endpoints"`
	Kind       string     `json:"kind"`
	Namespace  string     `json:"namespace"`
	Pool       string     `json:"pool"`
	Revision   int64      `json:"revision"`
}

// New is an empty set.
func New(namespace, pool string) *Set {
	return &Set{
		APIVersion: "poolwarden.io/v1alpha1",
		Endpoints:  []Endpoint{},
		Kind:       "EndpointSet",
		Namespace:  namespace,
		Pool:       pool,
	}
}

// Add a pod that is ready.
func (s *Set) Add(pod *corev1.Pod, ports []Port, zone string) {
	s.Endpoints = append(s.Endpoints, Endpoint{
		IP:    pod.Status.PodIP,
		Node:  pod.Spec.NodeName,
		Pod:   pod.Name,
		Ports: ports,
		State: "ready",
		UID:   string(pod.UID),
		Zone:  zone,
	})
}

// Sort puts the endpoints into the order of the document.
func (s *Set) Sort() {
	slices.SortFunc(s.Endpoints, func(a, b Endpoint) int { return strings.Compare(a.Pod, b.Pod) })
}

// Data is the ConfigMap's, of that revision.
func (s *Set) Data(revision int64) map[string]string {
	s.Revision = revision
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it is made of text and numbers
	}
	var lines strings.Builder
	for _, endpoint := range s.Endpoints {
		for _, port := range endpoint.Ports {
			lines.WriteString(net.JoinHostPort(endpoint.IP, strconv.Itoa(int(port.Number))))
			lines.WriteByte('\n')
		}
	}
	return map[string]string{JSONKey: string(text) + "\n", TextKey: lines.String()}
}

// IsReady says whether a pod belongs on the list.
func IsReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" {
		return false
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}
