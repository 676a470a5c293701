package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"poolwarden.io/bench/peers/document"
)

// What is done to a program while a row is measured, by a tenant who may make objects in a namespace of his own, or by
// anybody who reaches the program's ports.
const (
	attackObjects = "objects" // 50,000 of them, and changes all the time
	attackClients = "clients" // 1,000 that are slow or have no end
)

const (
	hostileNamespace = "bench-hostile"
	hostileApp       = "hostile"
	hostilePools     = 300 // all over the same pods
	hostilePicked    = 300
	hostilePods      = 33_000 // with labels that only the operator writes
	hostileMaps      = 10_000 // that say that they are the operator's
	hostileBudgets   = 2_000
	hostileServices  = 4_400
	changesASecond   = 50
)

// hostileMetadata: forged, and of two KiB.
func hostileMetadata(name string, number int) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: hostileNamespace,
		Name:      fmt.Sprintf("%s-%05d", name, number),
		Labels: map[string]string{
			"app.kubernetes.io/managed-by": "poolwarden",
			document.PoolLabel:             fmt.Sprintf("pool-%d", number%1000),
			servingLabel:                   "true",
			fmt.Sprintf("only-%d", number): "mine",
		},
		Annotations: map[string]string{"poolwarden.io/hostile": strings.Repeat("x", 2048)},
	}
}

func (c *cluster) makeHostilePods(ctx context.Context) error {
	return inParallel(ctx, numbers(hostilePods+hostilePicked), func(ctx context.Context, number int) error {
		pod := hollowPod(hostileNamespace, hostileApp, nodeName(0), number)
		if number >= hostilePicked {
			pod.ObjectMeta = hostileMetadata("pod", number)
		}
		made, err := c.load.CoreV1().Pods(hostileNamespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil || number >= hostilePicked {
			return err
		}
		made.Status = runningStatus(number)
		_, err = c.load.CoreV1().Pods(hostileNamespace).UpdateStatus(ctx, made, metav1.UpdateOptions{})
		return err
	})
}

func (c *cluster) makeHostileRest(ctx context.Context) error {
	core, policy, none := c.load.CoreV1(), c.load.PolicyV1(), metav1.CreateOptions{}
	for _, kind := range []struct {
		count int
		make  func(context.Context, int) error
	}{
		{hostilePools, func(ctx context.Context, number int) error {
			pool := inferencePool(hostileNamespace, fmt.Sprintf("%s-%d", hostileApp, number))
			pool["spec"].(map[string]any)["selector"] = map[string]any{"matchLabels": map[string]any{appLabel: hostileApp}}
			_, err := c.hostile.Create(ctx, &unstructured.Unstructured{Object: pool}, none)
			return err
		}},
		{hostileMaps, func(ctx context.Context, number int) error {
			data := map[string]string{"endpoints.json": `{"endpoints":[`, "endpoints.txt": strings.Repeat("x\n", 512)}
			object := &corev1.ConfigMap{ObjectMeta: hostileMetadata("map", number), Data: data}
			_, err := core.ConfigMaps(hostileNamespace).Create(ctx, object, none)
			return err
		}},
		{hostileBudgets, func(ctx context.Context, number int) error {
			least := intstr.FromInt32(1)
			object := &policyv1.PodDisruptionBudget{ObjectMeta: hostileMetadata("budget", number),
				Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &least,
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"nobody": fmt.Sprint(number)}}}}
			_, err := policy.PodDisruptionBudgets(hostileNamespace).Create(ctx, object, none)
			return err
		}},
		{hostileServices, func(ctx context.Context, number int) error {
			object := &corev1.Service{ObjectMeta: hostileMetadata("service", number), Spec: corev1.ServiceSpec{
				ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"nobody": fmt.Sprint(number)}}}
			_, err := core.Services(hostileNamespace).Create(ctx, object, none)
			return err
		}},
	} {
		if err := inParallel(ctx, numbers(kind.count), kind.make); err != nil {
			return err
		}
	}
	return nil
}

// makeHostile objects in a namespace of their own.
func (c *cluster) makeHostile(ctx context.Context) error {
	say("%d hostile objects: making them",
		hostilePods+hostilePicked+hostilePools+hostileMaps+hostileBudgets+hostileServices)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hostileNamespace}}
	if _, err := c.load.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return err
	}
	for { // the account that pods there run as is made after the namespace
		_, err := c.load.CoreV1().ServiceAccounts(hostileNamespace).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			break
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if err := c.makeHostilePods(ctx); err != nil {
		return err
	}
	return c.makeHostileRest(ctx)
}

// removeHostile takes all of it away, the namespace as well.
func (c *cluster) removeHostile(ctx context.Context) error {
	none := int64(0)
	now, all := metav1.DeleteOptions{GracePeriodSeconds: &none}, metav1.ListOptions{}
	if err := c.hostile.DeleteCollection(ctx, now, all); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err := c.load.CoreV1().Pods(hostileNamespace).DeleteCollection(ctx, now, all); err != nil {
		return err
	}
	err := c.load.CoreV1().Namespaces().Delete(ctx, hostileNamespace, now)
	for deadline := time.Now().Add(10 * time.Minute); !apierrors.IsNotFound(err); {
		if time.Now().After(deadline) {
			return fmt.Errorf("namespace %s does not go away", hostileNamespace)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		_, err = c.load.CoreV1().Namespaces().Get(ctx, hostileNamespace, metav1.GetOptions{})
	}
	return nil
}

// keepChanging the pods that all of the hostile pools select, until the context ends.
func (c *cluster) keepChanging(ctx context.Context) {
	pods, err := c.load.CoreV1().Pods(hostileNamespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "=" + hostileApp})
	if err != nil || len(pods.Items) == 0 {
		return
	}
	for turn := 0; ctx.Err() == nil; turn++ {
		pod := pods.Items[turn%len(pods.Items)].Name
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"turn":"%d"}}}`, turn)
		_, _ = c.load.CoreV1().Pods(hostileNamespace).Patch(ctx, pod, types.MergePatchType, patch, metav1.PatchOptions{})
		_ = sleep(ctx, time.Second/changesASecond)
	}
}

// Clients of a program's probe and metrics ports.
const (
	clients        = 1_000
	clientPause    = time.Second // after a connection was refused or ended: to try more often is to measure the machine
	clientPatience = 10 * time.Second
)

// attackPorts until the context ends: a third of the clients send a byte a second, a third a line without an end, and a
// third read nothing of what they asked for.
func attackPorts(ctx context.Context, ports []string) {
	var group sync.WaitGroup
	for number := range clients {
		port := ports[number%len(ports)]
		group.Go(func() {
			_ = sleep(ctx, rand.N(clientPause))
			for ctx.Err() == nil {
				attackOnce(ctx, port, number%3)
				_ = sleep(ctx, clientPause)
			}
		})
	}
	group.Wait()
}

func attackOnce(ctx context.Context, port string, how int) {
	connection, err := net.DialTimeout("tcp", port, clientPatience)
	if err != nil {
		return
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	_ = connection.SetDeadline(time.Now().Add(clientPatience))
	beginning, piece, pause := "GET /metrics HTTP/1.1\r\nHost: x\r\n", []byte("a"), time.Second
	switch how {
	case 1:
		beginning, piece, pause = "GET /", bytes.Repeat([]byte("a"), 16<<10), 10*time.Millisecond
	case 2:
		_, _ = connection.Write([]byte(beginning + "\r\n"))
		_ = sleep(ctx, clientPatience)
		return
	}
	for data := []byte(beginning); ctx.Err() == nil; data = piece {
		if _, err := connection.Write(data); err != nil {
			return
		}
		_ = sleep(ctx, pause)
	}
}
