// An operator on controller-runtime: a resource with two versions and a conversion webhook, admission webhooks, a cache with an index, leader
// election with a hand-over, owned objects, a finalizer, status and scale. The server restarts under it.
//
//	operator KUBECONFIG RESTART_FILE
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"skerry.example/compat/internal/must"
)

const ns = "compat-operator"

type warnings struct {
	mutex sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

type suite struct {
	ctx    context.Context
	config *rest.Config
	scheme *runtime.Scheme
	api    client.Client // asks the server, not a cache
	place  place
	warned *warnings
}

// A running manager; stop waits for its end.
type running struct {
	mgr  ctrl.Manager
	stop func()
}

func (s *suite) manager(leader bool, set func(ctrl.Manager)) *running {
	options := ctrl.Options{Scheme: s.scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", WebhookServer: s.place.server(),
		LeaderElection: leader, LeaderElectionID: "compat-operator", LeaderElectionNamespace: ns, LeaderElectionReleaseOnCancel: true}
	mgr, err := ctrl.NewManager(s.config, options)
	must.Do(err, "manager")
	set(mgr)
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return &running{mgr: mgr, stop: func() {
		cancel()
		must.Do(<-ended, "the manager's end")
	}}
}

func (s *suite) site(name, image string) *Site {
	return &Site{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: SiteSpec{Image: image, Pages: map[string]string{"index": "hello"}}}
}

func (s *suite) get(name string, into client.Object) error {
	return s.api.Get(s.ctx, types.NamespacedName{Namespace: ns, Name: name}, into)
}

func (s *suite) install() {
	must.Do(s.api.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}), "namespace")
	crd := s.place.definition()
	must.Do(s.api.Create(s.ctx, crd), "definition")
	must.Become("the definition to be established", func() bool {
		must.Do(s.api.Get(s.ctx, client.ObjectKeyFromObject(crd), crd), "get the definition")
		return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
		})
	})
	mutating, validating := s.place.configurations()
	must.Do(s.api.Create(s.ctx, mutating), "mutating webhook")
	must.Do(s.api.Create(s.ctx, validating), "validating webhook")
}

// What gets in, how it is filled in, what is said about it.
func (s *suite) admission() {
	refused := func(site *Site, why string) {
		err := s.api.Create(s.ctx, site)
		must.Be(err != nil && strings.Contains(err.Error(), why), "expected %q, got: %v", why, err)
	}
	refused(s.site("bad", "forbidden"), `admission webhook "check.sites.skerry.example" denied the request: that image is not for sites`)
	refused(s.site("bad", ""), "spec.image")
	many := s.site("bad", "web:1")
	six := int32(6)
	many.Spec.Replicas = &six
	refused(many, "a site has at most five pods")

	pinned := s.site("pinned", "pinned")
	pinned.Spec.Pages = nil
	must.Do(s.api.Create(s.ctx, pinned), "create")
	must.Be(pinned.Spec.Replicas != nil && *pinned.Spec.Replicas == 2, "the webhook filled nothing in: %+v", pinned.Spec)
	s.warned.mutex.Lock()
	must.Be(slices.Contains(s.warned.texts, "a site without pages is empty"), "the webhook's warning did not arrive: %q", s.warned.texts)
	s.warned.mutex.Unlock()
	// The operator's finalizer and conditions come between a read and a write.
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		must.Do(s.get("pinned", pinned), "get")
		pinned.Spec.Image = "other"
		return s.api.Update(s.ctx, pinned)
	})
	must.Be(apierrors.IsForbidden(err) && strings.Contains(err.Error(), "a pinned image stays"), "an update: %v", err)
	must.Do(s.api.Patch(s.ctx, pinned, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"keep":"yes"}}}`))), "label")
	err = s.api.Delete(s.ctx, pinned)
	must.Be(apierrors.IsForbidden(err), "a deletion: %v", err)
	must.Do(s.api.Patch(s.ctx, pinned, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"keep":null}}}`))), "unlabel")
	must.Do(s.api.Create(s.ctx, s.site("dry", "web:1"), client.DryRunAll), "dry run")
	must.Be(apierrors.IsNotFound(s.get("dry", &Site{})), "a dry run made something")
}

// Both versions of one object.
func (s *suite) conversion() {
	old := &OldSite{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "old"}, Spec: OldSiteSpec{Container: "web:old", Size: 1, Pages: map[string]string{"a": "b"}}}
	must.Do(s.api.Create(s.ctx, old), "create in the old version")
	must.Be(old.Spec.Container == "web:old", "what came back: %+v", old.Spec)
	site := &Site{}
	must.Do(s.get("old", site), "get in the new version")
	must.Be(site.Spec.Image == "web:old" && *site.Spec.Replicas == 1, "converted: %+v", site.Spec)
	must.Do(s.api.Patch(s.ctx, site, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"image":"web:new"}}`))), "patch the new version")
	list := &OldSiteList{}
	must.Do(s.api.List(s.ctx, list, client.InNamespace(ns)), "list in the old version")
	must.Be(slices.ContainsFunc(list.Items, func(o OldSite) bool { return o.Name == "old" && o.Spec.Container == "web:new" }), "the list: %+v", list.Items)
}

func (s *suite) deployed(name string, replicas int32, image string) func() bool {
	return func() bool {
		deployment, site := &appsv1.Deployment{}, &Site{}
		if s.get(name, deployment) != nil || s.get(name, site) != nil {
			return false
		}
		condition := meta.FindStatusCondition(site.Status.Conditions, "Deployed")
		return *deployment.Spec.Replicas == replicas && deployment.Spec.Template.Spec.Containers[0].Image == image && metav1.IsControlledBy(deployment, site) &&
			site.Status.Pods == replicas && site.Status.Seen == site.Generation && condition != nil && condition.Status == metav1.ConditionTrue
	}
}

// The operator makes, repairs and scales.
func (s *suite) operation() {
	must.Do(s.api.Create(s.ctx, s.site("web", "web:1")), "create")
	must.Become("the site", s.deployed("web", 2, "web:1"))
	must.Become("its event", func() bool {
		events := &corev1.EventList{}
		must.Do(s.api.List(s.ctx, events, client.InNamespace(ns), client.MatchingFields{"involvedObject.name": "web", "reason": "Deployed"}), "list events")
		return len(events.Items) > 0 && strings.HasPrefix(events.Items[0].Message, "pods of web:1")
	})
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}
	must.Do(s.get("web", deployment), "get")
	uid := deployment.UID
	must.Do(s.api.Delete(s.ctx, deployment, client.Preconditions{UID: &uid}), "delete the deployment")
	must.Become("another deployment", func() bool {
		fresh := &appsv1.Deployment{}
		return s.get("web", fresh) == nil && fresh.UID != uid && s.deployed("web", 2, "web:1")()
	})

	scale := &autoscalingv1.Scale{}
	site := s.site("web", "web:1")
	must.Do(retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the operator counts the pods of the other deployment meanwhile
		must.Do(s.api.SubResource("scale").Get(s.ctx, site, scale), "get the scale")
		scale.Spec.Replicas = 3
		return s.api.SubResource("scale").Update(s.ctx, site, client.WithSubResourceBody(scale))
	}), "scale")
	must.Become("the scaled site", s.deployed("web", 3, "web:1"))

	foreign := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"namespace": ns, "name": "web"},
		"spec": map[string]any{"selector": map[string]any{"site": "other"}}}}
	apply := client.ApplyConfigurationFromUnstructured(foreign)
	err := s.api.Apply(s.ctx, apply, client.FieldOwner("somebody"))
	must.Be(apierrors.IsConflict(err) && strings.Contains(err.Error(), `conflict with "sites": .spec.selector`), "an apply over the operator's field: %v", err)
	must.Do(s.api.Apply(s.ctx, apply, client.FieldOwner("somebody"), client.ForceOwnership), "a forced apply")
	service := &corev1.Service{}
	must.Become("the operator to take its field back", func() bool { return s.get("web", service) == nil && service.Spec.Selector["site"] == "web" })
	must.Be(service.Annotations[group+"/pages"] == "1", "annotations: %v", service.Annotations)

	selected := &SiteList{}
	must.Do(s.api.List(s.ctx, selected, client.InNamespace(ns), client.MatchingFields{"spec.image": "web:1"}), "list by a field of the definition")
	must.Be(len(selected.Items) == 1 && selected.Items[0].Name == "web", "by field: %d", len(selected.Items))
}

func indexed(ctx context.Context, mgr ctrl.Manager, want int) func() bool {
	return func() bool {
		list := &SiteList{}
		must.Do(mgr.GetClient().List(ctx, list, client.InNamespace(ns), client.MatchingFields{"index.image": "web:1"}), "list by an index of the cache")
		return len(list.Items) == want
	}
}

func (s *suite) removal() {
	site := s.site("web", "web:1")
	must.Do(s.get("web-ledger", &corev1.ConfigMap{}), "the ledger")
	must.Do(s.api.Delete(s.ctx, site, client.PropagationPolicy(metav1.DeletePropagationForeground)), "delete")
	for what, o := range map[string]client.Object{"web": &Site{}, "web-ledger": &corev1.ConfigMap{}} {
		must.Become(what+" to go", func() bool { return apierrors.IsNotFound(s.get(what, o)) })
	}
	must.Be(apierrors.IsNotFound(s.get("web", &appsv1.Deployment{})), "a foreground deletion left the deployment")
	must.Do(s.api.DeleteAllOf(s.ctx, &Site{}, client.InNamespace(ns)), "delete all")
	must.Become("all sites to go", func() bool {
		list := &SiteList{}
		must.Do(s.api.List(s.ctx, list, client.InNamespace(ns)), "list")
		return len(list.Items) == 0
	})
}

func main() {
	kubeconfig, restart := os.Args[1], os.Args[2]
	ctrl.SetLogger(klog.Background())
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must.Do(err, "kubeconfig")
	config.QPS, config.Burst = 500, 500
	s := &suite{ctx: context.Background(), config: config, scheme: runtime.NewScheme(), place: newPlace(), warned: &warnings{}}
	must.Do(clientgoscheme.AddToScheme(s.scheme), "scheme")
	must.Do(apiextensionsv1.AddToScheme(s.scheme), "scheme")
	addTypes(s.scheme)
	loud := rest.CopyConfig(config)
	loud.WarningHandler = s.warned
	s.api, err = client.New(loud, client.Options{Scheme: s.scheme})
	must.Do(err, "client")
	s.install()

	webhooks := s.manager(false, func(mgr ctrl.Manager) {
		must.Do(ctrl.NewWebhookManagedBy(mgr, &Site{}).WithDefaulter(gate{}).WithValidator(gate{}).Complete(), "webhooks")
	})
	must.Become("the webhooks to listen", func() bool { return webhooks.mgr.GetWebhookServer().StartedChecker()(nil) == nil })
	operators := map[string]*reconciler{}
	start := func(name string) *running {
		return s.manager(true, func(mgr ctrl.Manager) {
			operators[name] = &reconciler{Client: mgr.GetClient(), events: mgr.GetEventRecorder("sites"), name: name}
			must.Do(operators[name].setUp(mgr), "controller")
			must.Do(mgr.GetFieldIndexer().IndexField(s.ctx, &Site{}, "index.image", func(o client.Object) []string { return []string{o.(*Site).Spec.Image} }), "index")
		})
	}
	first := start("first")
	<-first.mgr.Elected()
	second := start("second")
	s.admission()
	s.conversion()
	s.operation()
	must.Become("the index", indexed(s.ctx, first.mgr, 1))
	must.Be(operators["second"].passes.Load() == 0, "the second operator works although it does not lead")

	must.Restart(restart, "restart")
	must.Do(retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() error {
		return s.api.Patch(s.ctx, s.site("web", ""), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"image":"web:2"}}`)))
	}), "patch after the restart")
	must.Become("the operator to go on after the restart", s.deployed("web", 3, "web:2"))

	first.stop()
	select {
	case <-second.mgr.Elected():
	case <-time.After(time.Minute):
		panic("the second operator is not elected")
	}
	must.Do(s.api.Patch(s.ctx, s.site("web", ""), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":1}}`))), "patch after the hand-over")
	must.Become("the second operator to take over", s.deployed("web", 1, "web:2"))
	s.removal()
	second.stop()
	webhooks.stop()
	err = s.api.Create(s.ctx, s.site("late", "web:1"))
	must.Be(apierrors.IsInternalError(err) && strings.Contains(err.Error(), `failed calling webhook "default.sites.skerry.example"`), "a create without the webhook: %v", err)
	fmt.Printf("controller-runtime: ok, passes: first %d, second %d\n", operators["first"].passes.Load(), operators["second"].passes.Load())
}
