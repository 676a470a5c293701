package document

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podNamed(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "6f0b"},
		Spec:       corev1.PodSpec{NodeName: "node-1"},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      "10.0.0.7",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func TestDocument_IsThatOfTheContract(t *testing.T) {
	set := New("default", "vllm")
	set.Add(podNamed("vllm-b"), []Port{{Number: 8000}}, "")
	set.Add(podNamed("vllm-a"), []Port{{Number: 8000}}, "eu-1a")
	set.Sort()
	data := set.Data(12)
	const wanted = `{"apiVersion":"poolwarden.io/v1alpha1","endpoints":[` +
		`{"ip":"10.0.0.7","node":"node-1","pod":"vllm-a","ports":[{"number":8000}],"state":"ready","uid":"6f0b","zone":"eu-1a"},` +
		`{"ip":"10.0.0.7","node":"node-1","pod":"vllm-b","ports":[{"number":8000}],"state":"ready","uid":"6f0b"}],` +
		`"kind":"EndpointSet","namespace":"default","pool":"vllm","revision":12}` + "\n"
	if data["endpoints.json"] != wanted {
		t.Errorf("got %s, wanted %s", data["endpoints.json"], wanted)
	}
	if data["endpoints.txt"] != "10.0.0.7:8000\n10.0.0.7:8000\n" {
		t.Errorf("got %q", data["endpoints.txt"])
	}
}

func TestIsReady_EachReasonWithdraws(t *testing.T) {
	now := metav1.Now()
	for reason, change := range map[string]func(*corev1.Pod){
		"terminating": func(pod *corev1.Pod) { pod.DeletionTimestamp = &now },
		"no address":  func(pod *corev1.Pod) { pod.Status.PodIP = "" },
		"ended":       func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed },
		"not ready":   func(pod *corev1.Pod) { pod.Status.Conditions[0].Status = corev1.ConditionFalse },
		"no word":     func(pod *corev1.Pod) { pod.Status.Conditions = nil },
	} {
		pod := podNamed("a")
		if !IsReady(pod) {
			t.Fatal("a pod that is ready is said not to be")
		}
		if change(pod); IsReady(pod) {
			t.Errorf("%s: said to be ready", reason)
		}
	}
}
