// A release through its life with helm's library: install, test, upgrade, a failed upgrade, rollback, uninstall.
//
//	helmlib KUBECONFIG CHART
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"skerry.example/compat/internal/must"
)

const (
	ns      = "helm-library"
	name    = "shop"
	timeout = 90 * time.Second
)

var (
	signs       = schema.GroupVersionResource{Group: "helm.skerry.example", Version: "v1", Resource: "signs"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

type suite struct {
	ctx     context.Context
	config  *action.Configuration
	core    kubernetes.Interface
	dynamic dynamic.Interface
	chart   string
}

type values = map[string]any

func (s *suite) install(v values, set func(*action.Install)) (*release.Release, error) {
	c, err := loader.Load(s.chart)
	must.Do(err, "load the chart")
	install := action.NewInstall(s.config)
	install.ReleaseName, install.Namespace, install.CreateNamespace, install.Timeout = name, ns, true, timeout
	set(install)
	return install.RunWithContext(s.ctx, c, v)
}

func (s *suite) upgrade(v values, atomic bool) (*release.Release, error) {
	c, err := loader.Load(s.chart)
	must.Do(err, "load the chart")
	upgrade := action.NewUpgrade(s.config)
	upgrade.Namespace, upgrade.Wait, upgrade.WaitForJobs, upgrade.Timeout, upgrade.Atomic = ns, true, true, timeout, atomic
	return upgrade.RunWithContext(s.ctx, name, c, v)
}

func (s *suite) colour(want string, replicas int32) {
	config, err := s.core.CoreV1().ConfigMaps(ns).Get(s.ctx, name, metav1.GetOptions{})
	must.Do(err, "the config map")
	must.Be(config.Data["colour"] == want, "the config map holds %v, not %s", config.Data, want)
	sign, err := s.dynamic.Resource(signs).Namespace(ns).Get(s.ctx, name, metav1.GetOptions{})
	must.Do(err, "the sign")
	text, _, _ := unstructured.NestedString(sign.Object, "spec", "text")
	size, _, _ := unstructured.NestedInt64(sign.Object, "spec", "size")
	must.Be(text == name+" is "+want && size == 12, "the sign says %v", sign.Object["spec"])
	deployment, err := s.core.AppsV1().Deployments(ns).Get(s.ctx, name, metav1.GetOptions{})
	must.Do(err, "the deployment")
	must.Be(*deployment.Spec.Replicas == replicas && deployment.Status.ReadyReplicas == replicas && deployment.Status.UpdatedReplicas == replicas,
		"the deployment is not what helm waited for: %+v", deployment.Status)
}

func (s *suite) extra(want bool) {
	_, err := s.core.CoreV1().ConfigMaps(ns).Get(s.ctx, name+"-extra", metav1.GetOptions{})
	must.Be(want == (err == nil) && (want || apierrors.IsNotFound(err)), "the extra config map: %v", err)
}

func (s *suite) job(revision int) {
	job, err := s.core.BatchV1().Jobs(ns).Get(s.ctx, name+"-prepare", metav1.GetOptions{})
	must.Do(err, "the hook's job")
	must.Be(job.Status.Succeeded == 1, "the hook's job: %+v", job.Status)
	must.Be(strings.Contains(job.Spec.Template.Spec.Containers[0].Command[2], fmt.Sprintf("revision %d", revision)), "the hook ran for another revision: %v", job.Spec.Template.Spec.Containers[0].Command)
}

func (s *suite) begin() {
	_, err := s.install(values{"replicas": -1}, func(*action.Install) {})
	must.Be(err != nil && strings.Contains(err.Error(), "replicas"), "values against the chart's schema: %v", err)
	planned, err := s.install(values{}, func(i *action.Install) { i.DryRun, i.DryRunOption = true, "server" })
	must.Do(err, "dry run")
	must.Be(strings.Contains(planned.Manifest, `budgets: "true"`), "the dry run did not know the server's kinds:\n%s", planned.Manifest)
	_, err = s.core.CoreV1().Namespaces().Get(s.ctx, ns, metav1.GetOptions{})
	must.Be(apierrors.IsNotFound(err), "a dry run made the namespace: %v", err)

	first, err := s.install(values{}, func(i *action.Install) { i.Wait, i.WaitForJobs, i.Atomic = true, true, true })
	must.Do(err, "install")
	must.Be(first.Info.Status == release.StatusDeployed && strings.TrimSpace(first.Info.Notes) == "The site shop is red (revision 1).", "the release: %s %q", first.Info.Status, first.Info.Notes)
	s.colour("red", 1)
	s.extra(true)
	s.job(1)
	_, err = s.install(values{}, func(*action.Install) {})
	must.Be(err != nil && strings.Contains(err.Error(), "cannot re-use a name"), "a second install: %v", err)
}

func (s *suite) test() {
	testing := action.NewReleaseTesting(s.config)
	testing.Namespace, testing.Timeout = ns, timeout
	tested, err := testing.Run(name)
	must.Do(err, "test")
	var logs bytes.Buffer
	must.Do(testing.GetPodLogs(&logs, tested), "the test's log")
	must.Be(strings.Contains(logs.String(), "the site answers"), "the test's log: %s", logs.String())
}

func (s *suite) changes() {
	// What others did is kept where the chart says nothing, and undone where it does.
	_, err := s.core.CoreV1().ConfigMaps(ns).Patch(s.ctx, name, types.MergePatchType, []byte(`{"data":{"colour":"pink","mine":"stays"}}`), metav1.PatchOptions{})
	must.Do(err, "a change by hand")
	_, err = s.upgrade(values{"colour": "green", "replicas": 2, "extra": false}, false)
	must.Do(err, "upgrade")
	s.colour("green", 2)
	s.extra(false)
	s.job(2)
	config, err := s.core.CoreV1().ConfigMaps(ns).Get(s.ctx, name, metav1.GetOptions{})
	must.Do(err, "get")
	must.Be(config.Data["mine"] == "stays" && strings.Contains(config.Data["before"], "pink"), "the upgraded config map: %v", config.Data)

	_, err = s.upgrade(values{"colour": "black", "broken": true}, true)
	must.Be(err != nil && strings.Contains(err.Error(), "pre-upgrade hooks failed"), "an upgrade whose hook fails: %v", err)
	s.colour("green", 2)
	_, err = s.upgrade(values{"colour": strings.Repeat("long", 20)}, true)
	must.Be(err != nil && strings.Contains(err.Error(), "spec.text: Too long"), "an upgrade that the server refuses: %v", err)
	s.colour("green", 2)

	rollback := action.NewRollback(s.config)
	rollback.Version, rollback.Wait, rollback.WaitForJobs, rollback.Timeout = 1, true, true, timeout
	must.Do(rollback.Run(name), "rollback")
	s.colour("red", 1)
	s.extra(true)
	history, err := action.NewHistory(s.config).Run(name)
	must.Do(err, "history")
	var statuses []string
	for _, r := range history {
		statuses = append(statuses, fmt.Sprintf("%d %s", r.Version, r.Info.Status))
	}
	last := history[len(history)-1]
	must.Be(len(history) == 7 && last.Info.Status == release.StatusDeployed && last.Info.Description == "Rollback to 1", "history: %v, last: %q", statuses, last.Info.Description)
	stored, err := s.core.CoreV1().Secrets(ns).List(s.ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + name, FieldSelector: "type=helm.sh/release.v1"})
	must.Do(err, "list")
	must.Be(len(stored.Items) == 7, "%d revisions are stored", len(stored.Items))
}

func (s *suite) end() {
	uninstall := action.NewUninstall(s.config)
	uninstall.Wait, uninstall.Timeout, uninstall.DeletionPropagation = true, timeout, "foreground"
	_, err := uninstall.Run(name)
	must.Do(err, "uninstall")
	s.extra(false)
	for what, err := range map[string]error{
		"deployment": second(s.core.AppsV1().Deployments(ns).Get(s.ctx, name, metav1.GetOptions{})),
		"service":    second(s.core.CoreV1().Services(ns).Get(s.ctx, name, metav1.GetOptions{})),
		"sign":       second(s.dynamic.Resource(signs).Namespace(ns).Get(s.ctx, name, metav1.GetOptions{})),
	} {
		must.Be(apierrors.IsNotFound(err), "%s is left: %v", what, err)
	}
	pods, err := s.core.CoreV1().Pods(ns).List(s.ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + name})
	must.Do(err, "list pods")
	must.Be(len(pods.Items) == 0, "%d pods are left after a foreground deletion", len(pods.Items))
	left, err := s.core.CoreV1().ConfigMaps(ns).Get(s.ctx, name+"-left", metav1.GetOptions{})
	must.Do(err, "what the hook after the deletion makes: as the revision that was rolled back to was rendered")
	must.Be(left.Data["revision"] == "1", "left: %v", left.Data)
	must.Do(second(s.dynamic.Resource(definitions).Get(s.ctx, "signs.helm.skerry.example", metav1.GetOptions{})), "the definition stays")
	stored, err := s.core.CoreV1().Secrets(ns).List(s.ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	must.Do(err, "list")
	must.Be(len(stored.Items) == 0, "%d revisions are left", len(stored.Items))
	must.Do(s.core.CoreV1().Namespaces().Delete(s.ctx, ns, metav1.DeleteOptions{}), "delete the namespace")
	must.Become("the namespace to go", func() bool {
		return apierrors.IsNotFound(second[*corev1.Namespace](s.core.CoreV1().Namespaces().Get(s.ctx, ns, metav1.GetOptions{})))
	})
}

func second[T any](_ T, err error) error { return err }

func main() {
	kubeconfig, namespace := os.Args[1], ns
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = &kubeconfig, &namespace
	rest, err := flags.ToRESTConfig()
	must.Do(err, "kubeconfig")
	s := &suite{ctx: context.Background(), config: &action.Configuration{}, chart: os.Args[2]}
	must.Do(s.config.Init(flags, ns, "secret", func(string, ...any) {}), "helm")
	s.core, err = kubernetes.NewForConfig(rest)
	must.Do(err, "client")
	s.dynamic, err = dynamic.NewForConfig(rest)
	must.Do(err, "client")
	s.begin()
	s.test()
	s.changes()
	s.end()
	fmt.Println("helm's library: ok")
}
