// Create, list, watch, patch, apply, delete and informers that survive a restart of the server, with client-go.
//
//	client KUBECONFIG RESTART_FILE json|protobuf
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

const patience = 60 * time.Second

func check(err error, what string) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

func expect(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func until(what string, condition func() bool) {
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		expect(time.Now().Before(end), "not in time: %s", what)
	}
}

// What the server answered with, so that a test of protobuf cannot silently be one of JSON.
type recorder struct {
	next  http.RoundTripper
	mutex *sync.Mutex
	seen  map[string]int
}

func (r recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil {
		kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		r.mutex.Lock()
		r.seen[kind]++
		r.mutex.Unlock()
	}
	return response, err
}

type suite struct {
	ctx     context.Context
	core    kubernetes.Interface
	dynamic dynamic.Interface
	meta    metadata.Interface
	ns      string
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"suite": "go"}}, Data: data}
}

func (s *suite) writes() {
	maps := s.core.CoreV1().ConfigMaps(s.ns)
	created, err := maps.Create(s.ctx, configMap("a", map[string]string{"k": "1"}), metav1.CreateOptions{})
	check(err, "create")
	expect(created.UID != "" && created.ResourceVersion != "" && !created.CreationTimestamp.IsZero(), "metadata is not filled in: %+v", created.ObjectMeta)
	_, err = maps.Create(s.ctx, configMap("a", nil), metav1.CreateOptions{})
	expect(apierrors.IsAlreadyExists(err), "a second create of the same name: %v", err)
	_, err = maps.Create(s.ctx, configMap("Not_A_Name", nil), metav1.CreateOptions{})
	expect(apierrors.IsInvalid(err), "a bad name: %v", err)
	_, err = maps.Get(s.ctx, "absent", metav1.GetOptions{})
	expect(apierrors.IsNotFound(err), "get of what is absent: %v", err)

	stale := created.DeepCopy()
	created.Data["k"] = "2"
	_, err = maps.Update(s.ctx, created, metav1.UpdateOptions{})
	check(err, "update")
	stale.Data["k"] = "3"
	_, err = maps.Update(s.ctx, stale, metav1.UpdateOptions{})
	expect(apierrors.IsConflict(err), "an update of an old version: %v", err)

	for kind, patch := range map[types.PatchType]string{
		types.JSONPatchType:           `[{"op":"add","path":"/data/json","value":"y"}]`,
		types.MergePatchType:          `{"data":{"merge":"y"}}`,
		types.StrategicMergePatchType: `{"data":{"strategic":"y"}}`,
	} {
		_, err = maps.Patch(s.ctx, "a", kind, []byte(patch), metav1.PatchOptions{})
		check(err, string(kind))
	}
	applied, err := maps.Apply(s.ctx, applyv1.ConfigMap("a", s.ns).WithData(map[string]string{"apply": "y"}), metav1.ApplyOptions{FieldManager: "suite"})
	check(err, "apply")
	expect(len(applied.Data) == 5, "data after the patches: %v", applied.Data)
	_, err = maps.Apply(s.ctx, applyv1.ConfigMap("a", s.ns).WithData(map[string]string{"k": "mine"}), metav1.ApplyOptions{FieldManager: "suite"})
	expect(apierrors.IsConflict(err), "an apply over another manager's field: %v", err)

	check(maps.Delete(s.ctx, "a", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(applied.UID))}), "delete")
	_, err = maps.Get(s.ctx, "a", metav1.GetOptions{})
	expect(apierrors.IsNotFound(err), "get after the deletion: %v", err)
}

func (s *suite) lists() {
	maps := s.core.CoreV1().ConfigMaps(s.ns)
	for i := range 25 {
		_, err := maps.Create(s.ctx, configMap(fmt.Sprintf("page-%02d", i), map[string]string{"i": fmt.Sprint(i)}), metav1.CreateOptions{})
		check(err, "create for pages")
	}
	pages := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) { return maps.List(s.ctx, o) }))
	pages.PageSize = 10
	names := map[string]bool{}
	check(pages.EachListItem(s.ctx, metav1.ListOptions{LabelSelector: "suite=go"}, func(o runtime.Object) error {
		names[o.(*corev1.ConfigMap).Name] = true
		return nil
	}), "paged list")
	expect(len(names) == 25, "the pages hold %d names", len(names))
	one, err := maps.List(s.ctx, metav1.ListOptions{FieldSelector: "metadata.name=page-07"})
	check(err, "list by field")
	expect(len(one.Items) == 1 && one.Items[0].Data["i"] == "7", "list by field: %v", one.Items)

	raw, err := s.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(s.ns).Get(s.ctx, "page-03", metav1.GetOptions{})
	check(err, "dynamic get")
	value, _, _ := unstructured.NestedString(raw.Object, "data", "i")
	expect(value == "3", "dynamic get: %v", raw.Object)
	metas, err := s.meta.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(s.ns).List(s.ctx, metav1.ListOptions{})
	check(err, "metadata list")
	expect(len(metas.Items) >= 25 && metas.Items[0].UID != "", "metadata list: %d", len(metas.Items))
	check(maps.DeleteCollection(s.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "suite=go"}), "delete collection")
	rest, err := maps.List(s.ctx, metav1.ListOptions{LabelSelector: "suite=go"})
	check(err, "list after delete collection")
	expect(len(rest.Items) == 0, "%d are left of the collection", len(rest.Items))
}

func (s *suite) workload() {
	deployments := s.core.AppsV1().Deployments(s.ns)
	two := int32(2)
	labels := map[string]string{"app": "web"}
	_, err := deployments.Create(s.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.invalid/c:1"}}}}},
	}, metav1.CreateOptions{})
	check(err, "create a deployment")
	watcher, err := s.core.CoreV1().Pods(s.ns).Watch(s.ctx, metav1.ListOptions{LabelSelector: "app=web"})
	check(err, "watch")
	pods := map[types.UID]bool{}
	for deadline := time.After(patience); len(pods) < 2; {
		select {
		case event, open := <-watcher.ResultChan():
			expect(open, "the watch ended early")
			if pod, ok := event.Object.(*corev1.Pod); ok {
				pods[pod.UID] = true
				expect(metav1.GetControllerOf(pod) != nil, "pod %s has no controller", pod.Name)
			}
		case <-deadline:
			panic("not in time: two pods")
		}
	}
	watcher.Stop()
	check(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := deployments.GetScale(s.ctx, "web", metav1.GetOptions{})
		if err == nil {
			scale.Spec.Replicas = 3
			_, err = deployments.UpdateScale(s.ctx, "web", scale, metav1.UpdateOptions{})
		}
		return err
	}), "scale")
	until("three pods", func() bool {
		list, err := s.core.CoreV1().Pods(s.ns).List(s.ctx, metav1.ListOptions{LabelSelector: "app=web"})
		return err == nil && len(list.Items) == 3
	})
}

// Informers of all three kinds see what changed before, during and after a restart.
func (s *suite) informers(restart string) {
	stop := make(chan struct{})
	defer close(stop)
	typed := informers.NewSharedInformerFactoryWithOptions(s.core, 0, informers.WithNamespace(s.ns))
	lister := typed.Core().V1().ConfigMaps().Lister().ConfigMaps(s.ns)
	informer := typed.Core().V1().ConfigMaps().Informer()
	var mutex sync.Mutex
	history := map[string][]string{}
	note := func(what string, o any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o)
		check(err, "key")
		mutex.Lock()
		defer mutex.Unlock()
		history[key] = append(history[key], what)
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { note("add", o) },
		DeleteFunc: func(o any) { note("delete", o) },
	})
	check(err, "event handler")
	metaFactory := metadatainformer.NewFilteredSharedInformerFactory(s.meta, 0, s.ns, nil)
	metaInformer := metaFactory.ForResource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Informer()
	maps := s.core.CoreV1().ConfigMaps(s.ns)
	_, err = maps.Create(s.ctx, configMap("before", map[string]string{"k": "v"}), metav1.CreateOptions{})
	check(err, "create before the restart")
	typed.Start(stop)
	metaFactory.Start(stop)
	expect(cache.WaitForCacheSync(stop, informer.HasSynced, metaInformer.HasSynced), "the informers did not synchronize")
	_, err = lister.Get("before")
	check(err, "the first list")

	check(os.WriteFile(restart, []byte("restart\n"), 0o600), "ask for a restart")
	until("the restart", func() bool {
		_, err := os.Stat(restart + ".done")
		return err == nil
	})
	again := func(what string, f func() error) {
		check(retry.OnError(retry.DefaultBackoff, func(err error) bool { return !apierrors.IsAlreadyExists(err) }, f), what)
	}
	again("create after the restart", func() error {
		_, err := maps.Create(s.ctx, configMap("after", map[string]string{"k": "v"}), metav1.CreateOptions{})
		return err
	})
	until("the typed informer to see what came after the restart", func() bool {
		o, err := lister.Get("after")
		return err == nil && o.Data["k"] == "v"
	})
	until("the metadata informer to see it", func() bool {
		_, found, _ := metaInformer.GetStore().GetByKey(s.ns + "/after")
		return found
	})
	again("delete after the restart", func() error { return maps.Delete(s.ctx, "before", metav1.DeleteOptions{}) })
	until("the informer to see the deletion", func() bool {
		_, err := lister.Get("before")
		return apierrors.IsNotFound(err)
	})
	until("the handler to be told of the deletion", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(history[s.ns+"/before"]) >= 2
	})
	mutex.Lock()
	defer mutex.Unlock()
	told, _ := json.Marshal(history[s.ns+"/before"])
	expect(string(told) == `["add","delete"]`, "what the handler was told of the map that lived through the restart: %s", told)
}

func main() {
	kubeconfig, restart, encoding := os.Args[1], os.Args[2], os.Args[3]
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	check(err, "kubeconfig")
	media := map[string]string{"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}[encoding]
	expect(media != "", "encoding is json or protobuf")
	config.QPS, config.Burst = 1000, 1000
	record := recorder{mutex: &sync.Mutex{}, seen: map[string]int{}}
	typedConfig := rest.CopyConfig(config)
	typedConfig.ContentType, typedConfig.AcceptContentTypes = media, media
	typedConfig.Wrap(func(next http.RoundTripper) http.RoundTripper {
		record.next = next
		return record
	})
	core, err := kubernetes.NewForConfig(typedConfig)
	check(err, "clientset")
	dyn, err := dynamic.NewForConfig(config)
	check(err, "dynamic client")
	meta, err := metadata.NewForConfig(config)
	check(err, "metadata client")
	s := &suite{ctx: context.Background(), core: core, dynamic: dyn, meta: meta, ns: "compat-go-" + encoding}

	_, lists, err := core.Discovery().ServerGroupsAndResources()
	check(err, "discovery")
	expect(len(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"watch"}}, lists)) > 10, "discovery names too few kinds")
	_, err = core.CoreV1().Namespaces().Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns}}, metav1.CreateOptions{})
	check(err, "create the namespace")
	s.writes()
	s.lists()
	s.workload()
	s.informers(restart)
	check(core.CoreV1().Namespaces().Delete(s.ctx, s.ns, metav1.DeleteOptions{}), "delete the namespace")
	until("the namespace to go", func() bool {
		_, err := core.CoreV1().Namespaces().Get(s.ctx, s.ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	record.mutex.Lock()
	defer record.mutex.Unlock()
	expect(record.seen[media] > 50, "too few answers were %s: %v", media, record.seen)
	fmt.Printf("client-go (%s): ok, answers: %v\n", encoding, record.seen)
}
