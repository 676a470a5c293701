// The program that a user would write instead: it publishes the document that Poolwarden publishes (docs/contract.md),
// with controller-runtime as its own guide has it. For each Service that names a pool, the ready pods of that pool go
// into the ConfigMap <pool>-endpoints. Nothing beside that document is written.
//
// Fair means: pods are found by an index and read in place, managedFields are not kept, built-in kinds are read as
// protobuf (the library's default), the list is a PUT with its resourceVersion, and no rate limit holds a write back.
package main

import (
	"context"
	"flag"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"poolwarden.io/bench/peers/document"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const workers = 4

func main() {
	leaderElect := flag.Bool("leader-elect", false, "of several replicas only the holder of a Lease writes")
	namespace := flag.String("leader-elect-namespace", "default", "where the Lease is")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*leaderElect, *namespace); err != nil {
		ctrl.Log.Error(err, "ended")
		os.Exit(1)
	}
}

func run(leaderElect bool, namespace string) error {
	config := ctrl.GetConfigOrDie()
	config.QPS = -1
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		LeaderElection:          leaderElect,
		LeaderElectionID:        "peer-go",
		LeaderElectionNamespace: namespace,
		Cache:                   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	if err := manager.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, poolIndex, poolOf); err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&corev1.Service{}, builder.WithPredicates(predicate.NewPredicateFuncs(namesPool))).
		Owns(&corev1.ConfigMap{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(requestsOf)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(&publisher{client: manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

const poolIndex = "pool"

// poolOf: a pod's pool is its label "app", which is what the Service of that name selects.
func poolOf(object client.Object) []string {
	if pool := object.GetLabels()["app"]; pool != "" {
		return []string{pool}
	}
	return nil
}

func namesPool(object client.Object) bool { return object.GetLabels()[document.PoolLabel] != "" }

func requestsOf(_ context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, pool := range poolOf(object) {
		name := types.NamespacedName{Namespace: object.GetNamespace(), Name: pool}
		requests = append(requests, reconcile.Request{NamespacedName: name})
	}
	return requests
}
