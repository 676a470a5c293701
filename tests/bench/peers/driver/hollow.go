package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"poolwarden.io/bench/peers/document"
)

const (
	appLabel     = "app"
	servingLabel = "poolwarden.io/serving"
	madeLabel    = "poolwarden.io/bench" // on all that the harness makes
	portNumber   = 8000
	zones        = 3
)

func poolName(number int) string { return fmt.Sprintf("pool-%d", number) }
func nodeName(number int) string { return fmt.Sprintf("gpu-node-%03d", number) }

func zoneName(number int) string { return fmt.Sprintf("zone-%d", number%zones) }

// hollowNode is ready, and nobody looks after it.
func hollowNode(number int) *corev1.Node {
	name := nodeName(number)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			madeLabel:                "true",
			corev1.LabelHostname:     name,
			corev1.LabelTopologyZone: zoneName(number),
		}},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{condition(corev1.NodeReady, "KubeletReady")},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.10"}},
		},
	}
}

func condition(kind corev1.NodeConditionType, reason string) corev1.NodeCondition {
	now := metav1.Now()
	return corev1.NodeCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now,
	}
}

// hollowPod is of the size of a real engine's, without a ReplicaSet that would replace it or a kubelet that would run it.
func hollowPod(namespace, pool, node string, number int) *corev1.Pod {
	grace, links, mounts := int64(130), false, false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   namespace,
			Name:        fmt.Sprintf("%s-5d9c7b6f4d-%06d", pool, number),
			Labels:      map[string]string{appLabel: pool, "pod-template-hash": "5d9c7b6f4d", madeLabel: "true"},
			Annotations: map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"},
		},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			TerminationGracePeriodSeconds: &grace,
			EnableServiceLinks:            &links,
			AutomountServiceAccountToken:  &mounts,
			Containers:                    []corev1.Container{engine()},
			Volumes: []corev1.Volume{
				{Name: "models", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "models", ReadOnly: true}}},
				{Name: "shm", VolumeSource: corev1.VolumeSource{
					EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
			},
			Tolerations: []corev1.Toleration{
				{Key: "nvidia.com/gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
			},
		},
	}
}

func engine() corev1.Container {
	amounts := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(cpu),
			corev1.ResourceMemory: resource.MustParse(memory),
			"nvidia.com/gpu":      resource.MustParse("1"),
		}
	}
	return corev1.Container{
		Name:    "vllm",
		Image:   "docker.io/vllm/vllm-openai:v0.10.1",
		Command: []string{"vllm", "serve"},
		Args: []string{"meta-llama/Llama-3.1-8B-Instruct", "--port=8000", "--max-model-len=32768",
			"--gpu-memory-utilization=0.92", "--enable-prefix-caching", "--shutdown-timeout=120"},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: portNumber}},
		Env: []corev1.EnvVar{
			{Name: "HF_HOME", Value: "/models"},
			{Name: "VLLM_LOGGING_LEVEL", Value: "INFO"},
			{Name: "NCCL_DEBUG", Value: "WARN"},
			{Name: "OMP_NUM_THREADS", Value: "8"},
			{Name: "TORCHINDUCTOR_CACHE_DIR", Value: "/cache/inductor"},
		},
		Resources: corev1.ResourceRequirements{Limits: amounts("8", "64Gi"), Requests: amounts("4", "48Gi")},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "models", MountPath: "/models"},
			{Name: "shm", MountPath: "/dev/shm"},
		},
		ReadinessProbe: probe(5),
		LivenessProbe:  probe(10),
		StartupProbe:   probe(10),
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: 30}}},
	}
}

func probe(period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt32(portNumber)}},
		PeriodSeconds: period,
	}
}

// runningStatus is what a kubelet would have said.
func runningStatus(number int) corev1.PodStatus {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	ip := fmt.Sprintf("10.%d.%d.%d", 64+number/65536%64, number/256%256, number%256)
	started := true
	status := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		HostIP:    "192.168.1.10",
		HostIPs:   []corev1.HostIP{{IP: "192.168.1.10"}},
		PodIP:     ip,
		PodIPs:    []corev1.PodIP{{IP: ip}},
		StartTime: &now,
		QOSClass:  corev1.PodQOSBurstable,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name:        "vllm",
			Ready:       true,
			Started:     &started,
			Image:       "docker.io/vllm/vllm-openai:v0.10.1",
			ImageID:     "docker.io/vllm/vllm-openai@sha256:8c1f2d3e4a5b69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
			ContainerID: "containerd://2b6f1e0d9c8b7a695847362514f3e2d1c0b9a8f7e6d5c4b3a29180706f5e4d3c",
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized,
		corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		status.Conditions = append(status.Conditions,
			corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	return status
}

// poolService is what a pool's pods are reached by where no operator makes one.
func poolService(namespace, pool string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: pool, Labels: map[string]string{document.PoolLabel: pool, madeLabel: "true"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{appLabel: pool},
			Ports:    []corev1.ServicePort{{Port: portNumber, TargetPort: intstr.FromInt32(portNumber)}},
		},
	}
}

// poolBudget costs Kubernetes what Poolwarden's budget costs it: its status is written anew with each pod that goes.
func poolBudget(namespace, pool string) *policyv1.PodDisruptionBudget {
	minAvailable := intstr.FromInt32(1_000_000)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: pool + "-serving", Labels: map[string]string{madeLabel: "true"}},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &minAvailable,
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: pool}},
		},
	}
}

// inferencePool over the same pods.
func inferencePool(namespace, pool string) map[string]any {
	return map[string]any{
		"apiVersion": "poolwarden.io/v1alpha1",
		"kind":       "InferencePool",
		"metadata":   map[string]any{"name": pool, "namespace": namespace, "labels": map[string]any{madeLabel: "true"}},
		"spec": map[string]any{
			"selector":    map[string]any{"matchLabels": map[string]any{appLabel: pool}},
			"targetPorts": []any{map[string]any{"number": int64(portNumber)}},
		},
	}
}
