// Informers that get their first state through a watch (WatchList), typed ones over protobuf, and lose the server twice: once it is stopped,
// once it is killed. What they hold is compared with a list of what there is.
//
//	watchlist KUBECONFIG RESTART_FILE
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/features"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	"skerry.example/compat/internal/must"
)

const (
	ns       = "compat-watchlist"
	count    = 600
	protobuf = "application/vnd.kubernetes.protobuf"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// How one client asked for config maps and what came back.
type traffic struct {
	next           http.RoundTripper
	mutex          sync.Mutex
	lists, streams int
	media          map[string]int
}

func (t *traffic) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil || request.Method != http.MethodGet || !strings.HasSuffix(request.URL.Path, "/configmaps") {
		return response, err
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	query := request.URL.Query()
	switch {
	case query.Get("resourceVersionMatch") == "Exact": // the informer's own comparison, if that is switched on
	case query.Get("watch") == "":
		t.lists++
	case query.Get("sendInitialEvents") == "true":
		t.streams++
		must.Be(query.Get("resourceVersionMatch") == "NotOlderThan" && query.Get("allowWatchBookmarks") == "true", "an odd request: %s", request.URL)
	}
	t.media[response.Header.Get("Content-Type")]++
	return response, nil
}

func (t *traffic) spy(config *rest.Config) *rest.Config {
	out := rest.CopyConfig(config)
	t.media = map[string]int{}
	out.Wrap(func(next http.RoundTripper) http.RoundTripper {
		t.next = next
		return t
	})
	return out
}

func (t *traffic) expect(name, media string, streams int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	must.Be(t.lists == 0, "%s listed %d times", name, t.lists)
	must.Be(t.streams >= streams, "%s began %d times with a watch", name, t.streams)
	for kind := range t.media {
		must.Be(strings.HasPrefix(kind, media), "%s was answered in %s", name, kind)
	}
}

// An informer and what its handler was told: at last every object that is there is told once more often as added than as deleted.
type mirror struct {
	name     string
	informer cache.SharedIndexInformer
	mutex    sync.Mutex
	present  map[string]bool
	wrong    string
}

func watch(name string, informer cache.SharedIndexInformer) *mirror {
	m := &mirror{name: name, informer: informer, present: map[string]bool{}}
	turn := func(o any, before, after bool) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o)
		m.mutex.Lock()
		defer m.mutex.Unlock()
		if err != nil || m.present[key] != before {
			m.wrong = fmt.Sprintf("%s: %v, present before: %v", key, err, m.present[key])
		}
		m.present[key] = after
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { turn(o, false, true) },
		UpdateFunc: func(_, o any) { turn(o, true, true) },
		DeleteFunc: func(o any) { turn(o, true, false) },
	})
	must.Do(err, "event handler")
	return m
}

// versions: of every config map, by key
func versions(core kubernetes.Interface) map[string]string {
	list, err := core.CoreV1().ConfigMaps(ns).List(context.Background(), metav1.ListOptions{})
	must.Do(err, "list")
	out := map[string]string{}
	for _, item := range list.Items {
		out[ns+"/"+item.Name] = item.ResourceVersion
	}
	return out
}

func (m *mirror) equals(want map[string]string) bool {
	store := m.informer.GetStore()
	if len(store.ListKeys()) != len(want) {
		return false
	}
	for key, version := range want {
		o, found, _ := store.GetByKey(key)
		if !found || o.(metav1.Object).GetResourceVersion() != version {
			return false
		}
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	told := 0
	for _, there := range m.present {
		if there {
			told++
		}
	}
	return told == len(want)
}

func configMap(i int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m-%04d", i)}, Data: map[string]string{"i": fmt.Sprint(i), "pad": strings.Repeat("x", 500)}}
}

func settle(core kubernetes.Interface, mirrors []*mirror, when string) {
	for _, m := range mirrors {
		must.Become(m.name+" to hold what there is "+when, func() bool { return m.equals(versions(core)) })
		m.mutex.Lock()
		must.Be(m.wrong == "", "%s told of something that cannot be %s: %s", m.name, when, m.wrong)
		m.mutex.Unlock()
	}
}

// change: creates, updates and deletes; a connection of before the restart may fail once
func change(core kubernetes.Interface, round int) {
	ctx := context.Background()
	maps := core.CoreV1().ConfigMaps(ns)
	again := func(what string, done func(error) bool, f func() error) {
		must.Do(retry.OnError(retry.DefaultBackoff, func(err error) bool { return !done(err) }, func() error {
			if err := f(); err != nil && !done(err) {
				return err
			}
			return nil
		}), what)
	}
	for i := range 20 {
		again("create", apierrors.IsAlreadyExists, func() error {
			_, err := maps.Create(ctx, configMap(1000*round+count+i), metav1.CreateOptions{})
			return err
		})
		again("delete", apierrors.IsNotFound, func() error { return maps.Delete(ctx, configMap(20*round+i).Name, metav1.DeleteOptions{}) })
		again("update", func(error) bool { return false }, func() error {
			o, err := maps.Get(ctx, configMap(200+i).Name, metav1.GetOptions{})
			if err == nil {
				o.Data["round"] = fmt.Sprint(round)
				_, err = maps.Update(ctx, o, metav1.UpdateOptions{})
			}
			return err
		})
	}
}

func main() {
	kubeconfig, restart := os.Args[1], os.Args[2]
	must.Be(features.FeatureGates().Enabled(features.WatchListClient), "this client does not use WatchList")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must.Do(err, "kubeconfig")
	config.QPS, config.Burst = 2000, 2000
	ctx := context.Background()
	plain := rest.CopyConfig(config)
	plain.ContentType, plain.AcceptContentTypes = protobuf, protobuf
	core, err := kubernetes.NewForConfig(plain)
	must.Do(err, "client")
	_, err = core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
	must.Do(err, "create the namespace")
	for i := range count {
		_, err := core.CoreV1().ConfigMaps(ns).Create(ctx, configMap(i), metav1.CreateOptions{})
		must.Do(err, "create")
	}

	var typedTraffic, dynamicTraffic, metaTraffic traffic
	typed, err := kubernetes.NewForConfig(typedTraffic.spy(plain))
	must.Do(err, "typed client")
	untyped, err := dynamic.NewForConfig(dynamicTraffic.spy(config))
	must.Do(err, "dynamic client")
	meta, err := metadata.NewForConfig(metaTraffic.spy(config))
	must.Do(err, "metadata client")
	typedFactory := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(ns))
	dynamicFactory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(untyped, 0, ns, nil)
	metaFactory := metadatainformer.NewFilteredSharedInformerFactory(meta, 0, ns, nil)
	mirrors := []*mirror{
		watch("the typed informer", typedFactory.Core().V1().ConfigMaps().Informer()),
		watch("the dynamic informer", dynamicFactory.ForResource(configMaps).Informer()),
		watch("the metadata informer", metaFactory.ForResource(configMaps).Informer()),
	}
	stop := make(chan struct{})
	defer close(stop)
	typedFactory.Start(stop)
	dynamicFactory.Start(stop)
	metaFactory.Start(stop)
	for _, m := range mirrors {
		must.Be(cache.WaitForCacheSync(stop, m.informer.HasSynced), "%s did not synchronize", m.name)
	}
	settle(core, mirrors, "at first")
	for round, how := range []string{"restart", "kill"} {
		change(core, 2*round)
		settle(core, mirrors, "before the "+how)
		must.Restart(restart, how)
		change(core, 2*round+1)
		settle(core, mirrors, "after the "+how)
	}
	typedTraffic.expect("the typed informer", protobuf, 1)
	dynamicTraffic.expect("the dynamic informer", "application/json", 1)
	metaTraffic.expect("the metadata informer", protobuf, 1)
	fmt.Printf("WatchList: ok, %d objects at last, watches that began with everything: %d typed, %d dynamic, %d metadata\n",
		len(versions(core)), typedTraffic.streams, dynamicTraffic.streams, metaTraffic.streams)
}
