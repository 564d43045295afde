package main

import (
	"context"
	"strconv"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

const finalizer = group + "/ledger"

// reconciler makes a deployment (create or update), a service (server-side apply) and a ledger of its own for every site.
type reconciler struct {
	client.Client
	events events.EventRecorder
	name   string
	passes atomic.Int64
}

func (r *reconciler) setUp(mgr ctrl.Manager) error {
	yes := true
	return ctrl.NewControllerManagedBy(mgr).Named("sites").For(&Site{}).Owns(&appsv1.Deployment{}).Owns(&corev1.Service{}).
		WithOptions(controller.Options{SkipNameValidation: &yes}).Complete(r)
}

func ledger(site *Site) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.Name + "-ledger"}}
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	r.passes.Add(1)
	site := &Site{}
	if err := r.Get(ctx, request.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if site.DeletionTimestamp != nil {
		return ctrl.Result{}, r.leave(ctx, site)
	}
	if controllerutil.AddFinalizer(site, finalizer) {
		return ctrl.Result{}, r.Update(ctx, site)
	}
	if err := r.Create(ctx, ledger(site)); err != nil && !apierrors.IsAlreadyExists(err) {
		return ctrl.Result{}, err
	}
	deployment, err := r.deploy(ctx, site)
	if err == nil {
		err = r.expose(ctx, site)
	}
	if err == nil {
		err = r.report(ctx, site, deployment)
	}
	if apierrors.IsConflict(err) { // the cache was behind; the event that it waits for comes
		return ctrl.Result{Requeue: true}, nil
	}
	return ctrl.Result{}, err
}

func (r *reconciler) leave(ctx context.Context, site *Site) error {
	if !controllerutil.ContainsFinalizer(site, finalizer) {
		return nil
	}
	if err := client.IgnoreNotFound(r.Delete(ctx, ledger(site))); err != nil {
		return err
	}
	before := copied(site)
	controllerutil.RemoveFinalizer(site, finalizer)
	return client.IgnoreNotFound(r.Patch(ctx, site, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

func (r *reconciler) deploy(ctx context.Context, site *Site) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.Name}}
	labels := map[string]string{"site": site.Name}
	done, err := controllerutil.CreateOrUpdate(ctx, r.Client, deployment, func() error {
		deployment.Spec.Replicas = site.Spec.Replicas
		deployment.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType // no node runs its pods: a rolling update would wait for them
		deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		deployment.Spec.Template.Labels = labels
		if len(deployment.Spec.Template.Spec.Containers) == 0 {
			deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web"}}
		}
		deployment.Spec.Template.Spec.Containers[0].Image = site.Spec.Image
		return controllerutil.SetControllerReference(site, deployment, r.Scheme())
	})
	if err == nil && done == controllerutil.OperationResultCreated {
		r.events.Eventf(site, deployment, corev1.EventTypeNormal, "Deployed", "Deploy", "pods of %s by %s", site.Spec.Image, r.name)
	}
	return deployment, err
}

func (r *reconciler) expose(ctx context.Context, site *Site) error {
	service := applycore.Service(site.Name, site.Namespace).
		WithOwnerReferences(applymeta.OwnerReference().WithAPIVersion(group + "/v1").WithKind("Site").WithName(site.Name).WithUID(site.UID).WithController(true).WithBlockOwnerDeletion(true)).
		WithAnnotations(map[string]string{group + "/pages": strconv.Itoa(len(site.Spec.Pages))}).
		WithSpec(applycore.ServiceSpec().WithSelector(map[string]string{"site": site.Name}).WithPorts(applycore.ServicePort().WithName("http").WithPort(80)))
	return r.Apply(ctx, service, client.FieldOwner("sites"), client.ForceOwnership)
}

func (r *reconciler) report(ctx context.Context, site *Site, deployment *appsv1.Deployment) error {
	before := copied(site)
	site.Status.Pods, site.Status.Seen = deployment.Status.Replicas, site.Generation
	ready := metav1.ConditionFalse
	if deployment.Status.Replicas == *site.Spec.Replicas {
		ready = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&site.Status.Conditions, metav1.Condition{Type: "Deployed", Status: ready, Reason: "Counted", ObservedGeneration: site.Generation})
	return r.Status().Patch(ctx, site, client.MergeFrom(before))
}
