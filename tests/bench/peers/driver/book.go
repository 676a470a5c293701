package main

import (
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"poolwarden.io/bench/peers/document"
)

// withdrawal of one pod: when its terminating event was seen, and when what named it no longer did.
type withdrawal struct {
	pod, pool                  string
	seen, unlisted, unsliced   time.Time
	wasListed, wasInEndpointSl bool
}

// knownPod is what has to be known of a pod to delete and to replace it.
type knownPod struct {
	pool, node  string
	ready       bool
	terminating bool
	labelled    bool // with poolwarden.io/serving
}

// book keeps what the watches have said. Pure but for its lock: it is given the time of each event.
type book struct {
	mutex    sync.Mutex
	pods     map[string]knownPod
	lists    map[string]map[string]string          // endpoints.json by pool and ConfigMap: a large list has several
	lines    map[string]int                        // of endpoints.txt, by ConfigMap
	slices   map[string]map[string]map[string]bool // ready pods by Service and EndpointSlice
	waiting  map[string]*withdrawal                // by pod; those of the row that is measured
	left     map[string]map[string]*withdrawal     // of these, those that are still named somewhere, by pool
	onPod    func(*corev1.Pod, bool)               // the floor's ear; may be nil
	listings int                                   // events of lists
}

func newBook() *book {
	return &book{
		pods:    map[string]knownPod{},
		lists:   map[string]map[string]string{},
		lines:   map[string]int{},
		slices:  map[string]map[string]map[string]bool{},
		waiting: map[string]*withdrawal{},
		left:    map[string]map[string]*withdrawal{},
	}
}

// expect the withdrawal of a pod that is about to be deleted.
func (b *book) expect(pod string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	pool := b.pods[pod].pool
	w := &withdrawal{
		pod:             pod,
		pool:            pool,
		wasListed:       b.isListed(pool, pod),
		wasInEndpointSl: b.isSliced(pool, pod),
	}
	b.waiting[pod] = w
	if b.left[pool] == nil {
		b.left[pool] = map[string]*withdrawal{}
	}
	b.left[pool][pod] = w
}

func (b *book) podEvent(pod *corev1.Pod, deleted bool, now time.Time) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	_, labelled := pod.Labels[servingLabel]
	if deleted {
		delete(b.pods, pod.Name)
	} else {
		b.pods[pod.Name] = knownPod{
			pool:        pod.Labels[appLabel],
			node:        pod.Spec.NodeName,
			ready:       document.IsReady(pod),
			terminating: pod.DeletionTimestamp != nil,
			labelled:    labelled,
		}
	}
	if w := b.waiting[pod.Name]; w != nil && w.seen.IsZero() && (deleted || pod.DeletionTimestamp != nil) {
		w.seen = now
	}
	if b.onPod != nil {
		b.onPod(pod, deleted)
	}
}

func (b *book) listEvent(list *corev1.ConfigMap, deleted bool, now time.Time) {
	pool, isList := poolOf(list.Name)
	if !isList {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.listings++
	if deleted {
		delete(b.lists[pool], list.Name)
		delete(b.lines, list.Name)
		return
	}
	if b.lists[pool] == nil {
		b.lists[pool] = map[string]string{}
	}
	b.lists[pool][list.Name] = list.Data[document.JSONKey]
	b.lines[list.Name] = strings.Count(list.Data[document.TextKey], "\n")
	for _, w := range b.left[pool] {
		if w.wasListed && w.unlisted.IsZero() && !b.isListed(pool, w.pod) {
			w.unlisted = now
			b.finish(w)
		}
	}
}

func (b *book) sliceEvent(slice *discoveryv1.EndpointSlice, deleted bool, now time.Time) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	if service == "" {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.slices[service] == nil {
		b.slices[service] = map[string]map[string]bool{}
	}
	if deleted {
		delete(b.slices[service], slice.Name)
	} else {
		b.slices[service][slice.Name] = readyIn(slice)
	}
	for _, w := range b.left[service] {
		if w.wasInEndpointSl && w.unsliced.IsZero() && !b.isSliced(service, w.pod) {
			w.unsliced = now
			b.finish(w)
		}
	}
}

func (b *book) finish(w *withdrawal) {
	if w.wasListed == !w.unlisted.IsZero() && w.wasInEndpointSl == !w.unsliced.IsZero() {
		delete(b.left[w.pool], w.pod)
	}
}

func (b *book) isSliced(service, pod string) bool {
	for _, ready := range b.slices[service] {
		if ready[pod] {
			return true
		}
	}
	return false
}

func readyIn(slice *discoveryv1.EndpointSlice) map[string]bool {
	ready := map[string]bool{}
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		isReady := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
		if endpoint.TargetRef != nil && isReady {
			ready[endpoint.TargetRef.Name] = true
		}
	}
	return ready
}

func (b *book) isListed(pool, pod string) bool {
	for _, list := range b.lists[pool] {
		if names(list, pod) {
			return true
		}
	}
	return false
}

// poolOf the list that has a ConfigMap of this name: "<pool>-endpoints", and of a large one also
// "<pool>-endpoints-2" and so on.
func poolOf(configMap string) (string, bool) {
	pool, shard, isList := strings.Cut(configMap, document.ListName(""))
	if !isList || shard == "" {
		return pool, isList
	}
	number, isShard := strings.CutPrefix(shard, "-")
	_, err := strconv.Atoi(number)
	return pool, isShard && err == nil
}

func names(list, pod string) bool { return strings.Contains(list, `"pod":"`+pod+`"`) }

// outcome of the row since forget.
type outcome struct {
	lists, slices             []time.Duration
	late, lateSlices, deletes int // not withdrawn, of so many
}

func (b *book) outcome() outcome {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	out := outcome{deletes: len(b.waiting)}
	for _, w := range b.waiting {
		out.lists, out.late = account(w.wasListed, w.seen, w.unlisted, out.lists, out.late)
		out.slices, out.lateSlices = account(w.wasInEndpointSl, w.seen, w.unsliced, out.slices, out.lateSlices)
	}
	return out
}

// account: the list's event may be read before the pod's, of two watches; that is no time at all.
func account(counts bool, seen, gone time.Time, times []time.Duration, late int) ([]time.Duration, int) {
	switch {
	case !counts:
		return times, late
	case seen.IsZero() || gone.IsZero():
		return times, late + 1
	default:
		return append(times, max(gone.Sub(seen), 0)), late
	}
}

// forget the row.
func (b *book) forget() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	clear(b.waiting)
	clear(b.left)
}

// isWithdrawn: all that was expected has happened; slices too, if asked for.
func (b *book) isWithdrawn(published bool) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, w := range b.waiting {
		if w.seen.IsZero() || (published && w.wasListed && w.unlisted.IsZero()) || (w.wasInEndpointSl && w.unsliced.IsZero()) {
			return false
		}
	}
	return true
}

// listed endpoints, and ready pods.
func (b *book) listed() (endpoints, ready int) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, lines := range b.lines {
		endpoints += lines
	}
	for _, pod := range b.pods {
		if pod.ready {
			ready++
		}
	}
	return endpoints, ready
}

// sliced endpoints that are ready.
func (b *book) sliced() (endpoints int) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, slices := range b.slices {
		for _, ready := range slices {
			endpoints += len(ready)
		}
	}
	return endpoints
}

// podsThat fit, by name.
func (b *book) podsThat(fit func(knownPod) bool) map[string]knownPod {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	out := map[string]knownPod{}
	for name, pod := range b.pods {
		if fit(pod) {
			out[name] = pod
		}
	}
	return out
}
