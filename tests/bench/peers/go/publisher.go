package main

import (
	"context"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"poolwarden.io/bench/peers/document"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type publisher struct {
	client client.Client
}

// Reconcile makes the list of one pool what its pods say, with at most one write.
func (p *publisher) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	var service corev1.Service
	if err := p.client.Get(ctx, request.NamespacedName, &service); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !namesPool(&service) {
		return ctrl.Result{}, nil
	}
	var pods corev1.PodList
	if err := p.client.List(ctx, &pods, client.InNamespace(request.Namespace),
		client.MatchingFields{poolIndex: request.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, err
	}
	wanted, err := p.endpointSet(ctx, &service, pods.Items)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, p.publish(ctx, &service, wanted, newestVersion(pods.Items))
}

func (p *publisher) endpointSet(ctx context.Context, service *corev1.Service, pods []corev1.Pod) (*document.Set, error) {
	set := document.New(service.Namespace, service.Name)
	ports := portsOf(service)
	for i := range pods {
		if !document.IsReady(&pods[i]) {
			continue
		}
		var node corev1.Node
		err := p.client.Get(ctx, types.NamespacedName{Name: pods[i].Spec.NodeName}, &node)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		set.Add(&pods[i], ports, node.Labels[corev1.LabelTopologyZone])
	}
	set.Sort()
	return set, nil
}

func (p *publisher) publish(ctx context.Context, service *corev1.Service, set *document.Set, podsVersion string) error {
	var list corev1.ConfigMap
	key := types.NamespacedName{Namespace: service.Namespace, Name: document.ListName(service.Name)}
	err := p.client.Get(ctx, key, &list)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	isNew := apierrors.IsNotFound(err)
	revision, _ := strconv.ParseInt(list.Annotations[document.RevisionAnnotation], 10, 64)
	if !isNew && maps.Equal(list.Data, set.Data(revision)) {
		return nil
	}
	revision++
	list.Data = set.Data(revision)
	list.Labels = merged(list.Labels, map[string]string{document.PoolLabel: service.Name, document.ManagedByLabel: "peer-go"})
	list.Annotations = merged(list.Annotations, map[string]string{
		document.RevisionAnnotation:  strconv.FormatInt(revision, 10),
		document.PodsAnnotation:      podsVersion,
		document.TriggeredAnnotation: time.Now().UTC().Format(time.RFC3339Nano),
	})
	if !isNew {
		return p.client.Update(ctx, &list)
	}
	list.Namespace, list.Name = key.Namespace, key.Name
	list.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))}
	return p.client.Create(ctx, &list)
}

func merged(into, from map[string]string) map[string]string {
	if into == nil {
		return from
	}
	maps.Copy(into, from)
	return into
}

func newestVersion(pods []corev1.Pod) string {
	var newest uint64
	for i := range pods {
		version, err := strconv.ParseUint(pods[i].ResourceVersion, 10, 64)
		if err == nil {
			newest = max(newest, version)
		}
	}
	return strconv.FormatUint(newest, 10)
}

func portsOf(service *corev1.Service) []document.Port {
	var ports []document.Port
	for _, each := range service.Spec.Ports {
		ports = append(ports, document.Port{Name: each.Name, Number: each.TargetPort.IntVal})
	}
	return ports
}
