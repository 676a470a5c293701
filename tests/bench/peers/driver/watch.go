package main

import (
	"context"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// newDialer: connections are shared by those whose dialer is the same, and by nobody else.
func newDialer() func(context.Context, string, string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return dialer.DialContext
}

// feed is one kind: how it is listed and watched, and who hears its events.
type feed struct {
	kind  string
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	hear  func(object runtime.Object, deleted bool, now time.Time)
}

// observe all three kinds until the context ends. An error of one is told to `failed`: what it missed would be a wrong
// figure, so nobody tries to mend it.
func (c *cluster) observe(ctx context.Context, b *book, failed func(error)) error {
	pods := c.observer.CoreV1().Pods(c.namespace)
	lists := c.observer.CoreV1().ConfigMaps(c.namespace)
	slices := c.observer.DiscoveryV1().EndpointSlices(c.namespace)
	feeds := []feed{
		{
			kind:  "pods",
			list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) },
			watch: pods.Watch,
			hear: func(object runtime.Object, deleted bool, now time.Time) {
				b.podEvent(object.(*corev1.Pod), deleted, now)
			},
		},
		{
			kind:  "configmaps",
			list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return lists.List(ctx, o) },
			watch: lists.Watch,
			hear: func(object runtime.Object, deleted bool, now time.Time) {
				b.listEvent(object.(*corev1.ConfigMap), deleted, now)
			},
		},
		{
			kind:  "endpointslices",
			list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return slices.List(ctx, o) },
			watch: slices.Watch,
			hear: func(object runtime.Object, deleted bool, now time.Time) {
				b.sliceEvent(object.(*discoveryv1.EndpointSlice), deleted, now)
			},
		},
	}
	for _, each := range feeds {
		version, err := each.start(ctx)
		if err != nil {
			return fmt.Errorf("listing %s: %w", each.kind, err)
		}
		go func() {
			if err := each.follow(ctx, version); err != nil && ctx.Err() == nil {
				failed(fmt.Errorf("watching %s: %w", each.kind, err))
			}
		}()
	}
	return nil
}

// start hears all there is, and gives the version it is of.
func (f *feed) start(ctx context.Context) (string, error) {
	list, err := f.list(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	now := time.Now()
	if err := meta.EachListItem(list, func(object runtime.Object) error {
		f.hear(object, false, now)
		return nil
	}); err != nil {
		return "", err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	return accessor.GetResourceVersion(), nil
}

// follow goes on at the last version when the server ends a watch, as it does now and then.
func (f *feed) follow(ctx context.Context, version string) error {
	const longest = int64(6 * 60 * 60)
	for ctx.Err() == nil {
		timeout := longest
		stream, err := f.watch(ctx, metav1.ListOptions{
			ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &timeout})
		if err != nil {
			return err
		}
		for event := range stream.ResultChan() {
			now := time.Now()
			if event.Type == watch.Error {
				return fmt.Errorf("%v", event.Object)
			}
			accessor, err := meta.Accessor(event.Object)
			if err != nil {
				return err
			}
			version = accessor.GetResourceVersion()
			if event.Type != watch.Bookmark {
				f.hear(event.Object, event.Type == watch.Deleted, now)
			}
		}
	}
	return ctx.Err()
}
