package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"poolwarden.io/bench/peers/document"
)

// floor is what no program can be faster than: the observer's own pod event, and a bare PUT of the list without that pod.
// No cache, no queue, no process of its own; one writer for each pool, which takes what has come meanwhile.
type floor struct {
	cluster *cluster
	pools   map[string]*floorPool
	zones   map[string]string // by node
	failed  func(error)
}

type floorPool struct {
	mutex  sync.Mutex
	set    *document.Set
	marked chan struct{}
}

// startFloor creates the lists and listens to the book until the context ends.
func startFloor(ctx context.Context, c *cluster, b *book, pools, nodes int, failed func(error)) {
	f := &floor{cluster: c, pools: map[string]*floorPool{}, zones: map[string]string{}, failed: failed}
	for number := range nodes {
		f.zones[nodeName(number)] = zoneName(number)
	}
	for number := range pools {
		name := poolName(number)
		f.pools[name] = &floorPool{set: document.New(c.namespace, name), marked: make(chan struct{}, 1)}
	}
	b.mutex.Lock()
	b.onPod = f.podEvent
	b.mutex.Unlock()
	// The pods that are there already.
	pods, err := c.observer.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		failed(err)
		return
	}
	for i := range pods.Items {
		f.podEvent(&pods.Items[i], false)
	}
	for _, pool := range f.pools {
		go f.write(ctx, pool)
	}
	context.AfterFunc(ctx, func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		b.onPod = nil
	})
}

func (f *floor) podEvent(pod *corev1.Pod, deleted bool) {
	pool := f.pools[pod.Labels[appLabel]]
	if pool == nil {
		return
	}
	pool.mutex.Lock()
	defer pool.mutex.Unlock()
	endpoints := pool.set.Endpoints
	at, listed := slices.BinarySearchFunc(endpoints, pod.Name, func(endpoint document.Endpoint, name string) int {
		return strings.Compare(endpoint.Pod, name)
	})
	switch wanted := !deleted && document.IsReady(pod); {
	case wanted && !listed:
		pool.set.Add(pod, []document.Port{{Number: portNumber}}, f.zones[pod.Spec.NodeName])
		pool.set.Sort()
	case !wanted && listed:
		pool.set.Endpoints = slices.Delete(endpoints, at, at+1)
	default:
		return
	}
	select {
	case pool.marked <- struct{}{}:
	default:
	}
}

func (f *floor) write(ctx context.Context, pool *floorPool) {
	var list *corev1.ConfigMap
	lists := f.cluster.load.CoreV1().ConfigMaps(f.cluster.namespace)
	for revision := int64(1); ; revision++ {
		select {
		case <-ctx.Done():
			return
		case <-pool.marked:
		}
		pool.mutex.Lock()
		name, data := pool.set.Pool, pool.set.Data(revision)
		pool.mutex.Unlock()
		var err error
		if list == nil {
			list = &corev1.ConfigMap{}
			list.Name = document.ListName(name)
			list.Labels = map[string]string{document.PoolLabel: name, document.ManagedByLabel: "floor"}
			list.Annotations = map[string]string{document.RevisionAnnotation: strconv.FormatInt(revision, 10)}
			list.Data = data
			list, err = lists.Create(ctx, list, metav1.CreateOptions{})
		} else {
			list.Annotations[document.RevisionAnnotation] = strconv.FormatInt(revision, 10)
			list.Data = data
			list, err = lists.Update(ctx, list, metav1.UpdateOptions{})
		}
		if err != nil {
			if ctx.Err() == nil {
				f.failed(err)
			}
			return
		}
	}
}
