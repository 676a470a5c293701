package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"poolwarden.io/bench/peers/document"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func podOf(name string, terminating bool) *corev1.Pod {
	pod := hollowPod("bench", "pool-0", "node", 0)
	pod.Name = name
	pod.Status = runningStatus(0)
	if terminating {
		pod.DeletionTimestamp = &metav1.Time{Time: start}
	}
	return pod
}

func listOf(pods ...string) *corev1.ConfigMap {
	set := document.New("bench", "pool-0")
	for _, name := range pods {
		set.Add(podOf(name, false), []document.Port{{Number: 8000}}, "")
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "pool-0-endpoints"}, Data: set.Data(1)}
}

func sliceOf(name string, ready bool, pods ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "pool-0"}}}
	for _, pod := range pods {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			TargetRef: &corev1.ObjectReference{Name: pod}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
	}
	return slice
}

// filled: two pods that are listed and sliced, of which "a" is about to go.
func filled() *book {
	b := newBook()
	b.podEvent(podOf("a", false), false, at(0))
	b.podEvent(podOf("b", false), false, at(0))
	b.listEvent(listOf("a", "b"), false, at(0))
	b.sliceEvent(sliceOf("s", true, "a", "b"), false, at(0))
	b.expect("a")
	return b
}

func TestBook_PodGoes_BothLatenciesAreFromItsEvent(t *testing.T) {
	b := filled()
	b.podEvent(podOf("a", true), false, at(10))
	b.listEvent(listOf("b"), false, at(13))
	if b.isWithdrawn(true) {
		t.Error("withdrawn, with an EndpointSlice that names it")
	}
	b.sliceEvent(sliceOf("s", true, "b"), false, at(17))
	out := b.outcome()
	if !b.isWithdrawn(true) || len(out.lists) != 1 || out.lists[0] != 3*time.Millisecond || out.slices[0] != 7*time.Millisecond {
		t.Errorf("got %+v", out)
	}
}

func TestBook_ListStillNamesIt_IsNotWithdrawn(t *testing.T) {
	b := filled()
	b.podEvent(podOf("a", true), false, at(10))
	b.listEvent(listOf("a"), false, at(11))
	b.sliceEvent(sliceOf("s", true, "b"), false, at(12))
	if b.isWithdrawn(true) || b.outcome().late != 1 {
		t.Error("withdrawn, with a list that names it")
	}
	if !b.isWithdrawn(false) {
		t.Error("where nobody publishes, the EndpointSlice is all there is")
	}
}

func TestBook_EndpointNotReady_CountsAsGone(t *testing.T) {
	b := filled()
	b.podEvent(podOf("a", true), false, at(10))
	b.sliceEvent(sliceOf("s", false, "a", "b"), false, at(12))
	if out := b.outcome(); len(out.slices) != 1 || out.lateSlices != 0 {
		t.Errorf("got %+v", out)
	}
}

func TestBook_PodMovesToAnotherSlice_IsStillThere(t *testing.T) {
	b := filled()
	b.podEvent(podOf("a", true), false, at(10))
	b.sliceEvent(sliceOf("t", true, "a"), false, at(11))
	b.sliceEvent(sliceOf("s", true, "b"), false, at(12))
	if out := b.outcome(); out.lateSlices != 1 {
		t.Errorf("got %+v", out)
	}
}

func TestBook_NeverListed_IsNotWaitedFor(t *testing.T) {
	b := filled()
	b.podEvent(podOf("c", false), false, at(1))
	b.forget()
	b.expect("c")
	b.podEvent(podOf("c", true), false, at(10))
	if out := b.outcome(); !b.isWithdrawn(true) || out.late != 0 || out.deletes != 1 || len(out.lists) != 0 {
		t.Errorf("got %+v", out)
	}
}

func TestBook_ListBeforePodEvent_IsNoTimeAtAll(t *testing.T) {
	b := filled()
	b.listEvent(listOf("b"), false, at(9))
	b.podEvent(podOf("a", true), false, at(10))
	if out := b.outcome(); len(out.lists) != 1 || out.lists[0] != 0 {
		t.Errorf("got %+v", out)
	}
}

func TestBook_Listed_CountsLinesAndReadyPods(t *testing.T) {
	b := filled()
	b.podEvent(podOf("b", true), false, at(1))
	if listed, ready := b.listed(); listed != 2 || ready != 1 {
		t.Errorf("%d listed, %d ready", listed, ready)
	}
	b.listEvent(listOf(), true, at(2))
	if listed, _ := b.listed(); listed != 0 {
		t.Errorf("%d listed in a list that is gone", listed)
	}
}

func TestBook_LargeList_IsAllOfItsConfigMaps(t *testing.T) {
	b := newBook()
	b.podEvent(podOf("a", false), false, at(0))
	b.podEvent(podOf("b", false), false, at(0))
	second := listOf("a")
	second.Name += "-2"
	b.listEvent(listOf("b"), false, at(0))
	b.listEvent(second, false, at(0))
	if endpoints, _ := b.listed(); endpoints != 2 {
		t.Errorf("listed %d endpoints", endpoints)
	}
	b.expect("a")
	b.podEvent(podOf("a", true), false, at(10))
	b.listEvent(listOf("b"), false, at(11))
	if b.isWithdrawn(true) {
		t.Error("withdrawn, with a second ConfigMap that names it")
	}
	second.Data = listOf().Data
	b.listEvent(second, false, at(14))
	if out := b.outcome(); !b.isWithdrawn(true) || len(out.lists) != 1 || out.lists[0] != 4*time.Millisecond {
		t.Errorf("got %+v", out)
	}
}
