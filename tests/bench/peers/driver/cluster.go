package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var poolResource = schema.GroupVersionResource{Group: "poolwarden.io", Version: "v1alpha1", Resource: "inferencepools"}

// cluster is the control plane as the harness uses it. Load and observer have connections of their own.
type cluster struct {
	namespace string
	etcd      string
	load      *kubernetes.Clientset
	observer  *kubernetes.Clientset
	pools     dynamic.ResourceInterface
	hostile   dynamic.ResourceInterface // pools of a hostile tenant
	next      int                       // number of the next pod
}

func newCluster(plan *Plan) (*cluster, error) {
	load, err := clientFor(plan.Kubeconfig, "bench-load")
	if err != nil {
		return nil, err
	}
	observer, err := clientFor(plan.Kubeconfig, "bench-observer")
	if err != nil {
		return nil, err
	}
	config, err := configFor(plan.Kubeconfig, "bench-load")
	if err != nil {
		return nil, err
	}
	pools, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		namespace: plan.Namespace,
		etcd:      plan.Etcd,
		load:      load,
		observer:  observer,
		pools:     pools.Resource(poolResource).Namespace(plan.Namespace),
		hostile:   pools.Resource(poolResource).Namespace(hostileNamespace),
	}, nil
}

func configFor(kubeconfig, agent string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.UserAgent = agent
	return config, nil
}

// clientFor speaks protobuf. A dialer of its own gives it a connection of its own.
func clientFor(kubeconfig, agent string) (*kubernetes.Clientset, error) {
	config, err := configFor(kubeconfig, agent)
	if err != nil {
		return nil, err
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.Dial = newDialer()
	return kubernetes.NewForConfig(config)
}

// inParallel runs the action for each item, sixteen at once, and gives the first error.
func inParallel[T any](ctx context.Context, items []T, action func(context.Context, T) error) error {
	const lanes = 16
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T)
	var group sync.WaitGroup
	for range lanes {
		group.Go(func() {
			for item := range queue {
				if err := action(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		select {
		case queue <- item:
		case <-ctx.Done():
		}
	}
	close(queue)
	group.Wait()
	return context.Cause(ctx)
}

func numbers(count int) []int {
	out := make([]int, count)
	for i := range out {
		out[i] = i
	}
	return out
}

// makeNodes that are not there yet. Admission taints a new one; nobody but us would take that off again. Patches, because
// controllers write to a new node too.
func (c *cluster) makeNodes(ctx context.Context, count int) error {
	api := c.load.CoreV1().Nodes()
	return inParallel(ctx, numbers(count), func(ctx context.Context, number int) error {
		node := hollowNode(number)
		_, err := api.Create(ctx, node, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		untaint := []byte(`{"spec":{"taints":null}}`)
		if _, err := api.Patch(ctx, node.Name, types.MergePatchType, untaint, metav1.PatchOptions{}); err != nil {
			return err
		}
		status, err := json.Marshal(map[string]any{"status": node.Status})
		if err != nil {
			return err
		}
		_, err = api.Patch(ctx, node.Name, types.StrategicMergePatchType, status, metav1.PatchOptions{}, "status")
		return err
	})
}

// place is where a pod belongs.
type place struct{ pool, node string }

func (c *cluster) makePods(ctx context.Context, places []place) error {
	type wanted struct {
		place
		number int
	}
	var pods []wanted
	for _, each := range places {
		pods = append(pods, wanted{each, c.next})
		c.next++
	}
	return inParallel(ctx, pods, func(ctx context.Context, pod wanted) error {
		api := c.load.CoreV1().Pods(c.namespace)
		made, err := api.Create(ctx, hollowPod(c.namespace, pod.pool, pod.node, pod.number), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		made.Status = runningStatus(pod.number)
		_, err = api.UpdateStatus(ctx, made, metav1.UpdateOptions{})
		return err
	})
}

// deletePod as a user does: with its grace period, in which it terminates.
func (c *cluster) deletePod(ctx context.Context, name string) error {
	return c.load.CoreV1().Pods(c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
}

// removePods at once, as a kubelet does in the end.
func (c *cluster) removePods(ctx context.Context, names []string) error {
	none := int64(0)
	return inParallel(ctx, names, func(ctx context.Context, name string) error {
		err := c.load.CoreV1().Pods(c.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &none})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// stripPods of the labels that an operator gave them.
func (c *cluster) stripPods(ctx context.Context, names []string) error {
	patch := []byte(`{"metadata":{"labels":{"` + servingLabel + `":null}}}`)
	return inParallel(ctx, names, func(ctx context.Context, name string) error {
		_, err := c.load.CoreV1().Pods(c.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

func (c *cluster) makeService(ctx context.Context, pool string) error {
	_, err := c.load.CoreV1().Services(c.namespace).Create(ctx, poolService(c.namespace, pool), metav1.CreateOptions{})
	return err
}

func (c *cluster) makePools(ctx context.Context, how string, count int) error {
	return inParallel(ctx, numbers(count), func(ctx context.Context, number int) error {
		var err error
		switch how {
		case poolsServices:
			err = c.makeService(ctx, poolName(number))
		case poolsBudgets:
			budget := poolBudget(c.namespace, poolName(number))
			_, failed := c.load.PolicyV1().PodDisruptionBudgets(c.namespace).Create(ctx, budget, metav1.CreateOptions{})
			err = errors.Join(failed, c.makeService(ctx, poolName(number)))
		case poolsResource:
			object := &unstructured.Unstructured{Object: inferencePool(c.namespace, poolName(number))}
			_, err = c.pools.Create(ctx, object, metav1.CreateOptions{})
		}
		return err
	})
}

// removePools, and all that was made for them by whomever.
func (c *cluster) removePools(ctx context.Context) error {
	all := metav1.ListOptions{}
	ofPools := metav1.ListOptions{LabelSelector: "poolwarden.io/pool"}
	none := metav1.DeleteOptions{}
	if err := c.pools.DeleteCollection(ctx, none, all); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	services, err := c.load.CoreV1().Services(c.namespace).List(ctx, all)
	if err != nil {
		return err
	}
	deleteService := func(ctx context.Context, service corev1.Service) error {
		err := c.load.CoreV1().Services(c.namespace).Delete(ctx, service.Name, none)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if err := inParallel(ctx, services.Items, deleteService); err != nil {
		return err
	}
	for _, remove := range []func() error{
		func() error { return c.load.CoreV1().ConfigMaps(c.namespace).DeleteCollection(ctx, none, ofPools) },
		func() error {
			return c.load.PolicyV1().PodDisruptionBudgets(c.namespace).DeleteCollection(ctx, none, all)
		},
		func() error { return c.load.EventsV1().Events(c.namespace).DeleteCollection(ctx, none, all) },
		func() error { return c.load.CoordinationV1().Leases(c.namespace).DeleteCollection(ctx, none, all) },
	} {
		if err := remove(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) counters(ctx context.Context) (Counters, error) {
	text, err := c.load.RESTClient().Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").DoRaw(ctx)
	if err != nil {
		return Counters{}, err
	}
	return readCounters(bytes.NewReader(text))
}

// revision is what etcd stands at, and whether anything was written after `since`, by anybody. The API server's own
// Leases go on by themselves. A Kubernetes API request could not tell that for all kinds at once.
func (c *cluster) revision(ctx context.Context, since int64) (now int64, moved bool, err error) {
	key := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	body, err := json.Marshal(map[string]any{
		"key": key("/registry/"), "range_end": key("/registry0"), "keys_only": true, "min_mod_revision": since + 1})
	if err != nil {
		return 0, false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.etcd+"/v3/kv/range", bytes.NewReader(body))
	if err != nil {
		return 0, false, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false, err
	}
	defer answer.Body.Close()
	var found struct {
		Header struct {
			Revision int64 `json:"revision,string"`
		} `json:"header"`
		Kvs []struct {
			Key []byte `json:"key"`
		} `json:"kvs"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return 0, false, fmt.Errorf("etcd: %w", err)
	}
	for _, kv := range found.Kvs {
		key := string(kv.Key)
		if !strings.HasPrefix(key, "/registry/leases/") && !strings.HasPrefix(key, "/registry/masterleases/") {
			moved = true
		}
	}
	return found.Header.Revision, moved, nil
}

// rest returns when nothing has been written for so long.
func (c *cluster) rest(ctx context.Context, quiet, patience time.Duration) error {
	revision, _, err := c.revision(ctx, 1<<60)
	if err != nil {
		return err
	}
	start := time.Now()
	for still := start; time.Since(still) < quiet; {
		if time.Since(start) > patience {
			say("it never came to rest; measured all the same")
			return nil
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		var moved bool
		if revision, moved, err = c.revision(ctx, revision); err != nil {
			return err
		}
		if moved {
			still = time.Now()
		}
	}
	return nil
}

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}
