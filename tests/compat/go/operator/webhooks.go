package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"skerry.example/compat/internal/must"
)

//go:embed crd.yaml
var definition []byte

// gate admits sites and fills them in.
type gate struct{}

func (gate) Default(_ context.Context, site *Site) error {
	if site.Spec.Replicas == nil {
		two := int32(2)
		site.Spec.Replicas = &two
	}
	return nil
}

func (gate) check(site *Site) (admission.Warnings, error) {
	if site.Spec.Image == "forbidden" {
		return nil, errors.New("that image is not for sites")
	}
	if len(site.Spec.Pages) == 0 {
		return admission.Warnings{"a site without pages is empty"}, nil
	}
	return nil, nil
}

func (g gate) ValidateCreate(_ context.Context, site *Site) (admission.Warnings, error) {
	return g.check(site)
}

func (g gate) ValidateUpdate(_ context.Context, old, site *Site) (admission.Warnings, error) {
	if old.DeletionTimestamp == nil && old.Spec.Image == "pinned" && site.Spec.Image != "pinned" {
		return nil, errors.New("a pinned image stays")
	}
	return g.check(site)
}

func (gate) ValidateDelete(_ context.Context, site *Site) (admission.Warnings, error) {
	if site.Labels["keep"] == "yes" {
		return nil, errors.New("this site is kept")
	}
	return nil, nil
}

// Where the webhooks listen and whom to trust there.
type place struct {
	port int
	cert tls.Certificate
	ca   []byte
}

func newPlace() place {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.Do(err, "a free port")
	p := place{port: listener.Addr().(*net.TCPAddr).Port}
	must.Do(listener.Close(), "close")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.Do(err, "key")
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "compat webhooks"}, SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must.Do(err, "certificate")
	p.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	var out bytes.Buffer
	must.Do(pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}), "pem")
	p.ca = out.Bytes()
	return p
}

func (p place) url(path string) *string {
	out := fmt.Sprintf("https://127.0.0.1:%d%s", p.port, path)
	return &out
}

func (p place) server() webhook.Server {
	return webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: p.port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &p.cert, nil }
	}}})
}

func (p place) definition() *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	must.Do(yaml.UnmarshalStrict(definition, crd), "crd.yaml")
	crd.Spec.Conversion.Webhook.ClientConfig = &apiextensionsv1.WebhookClientConfig{URL: p.url("/convert"), CABundle: p.ca}
	return crd
}

func (p place) configurations() (*admissionv1.MutatingWebhookConfiguration, *admissionv1.ValidatingWebhookConfiguration) {
	none, fail, exact := admissionv1.SideEffectClassNone, admissionv1.Fail, admissionv1.Equivalent
	rules := func(operations ...admissionv1.OperationType) []admissionv1.RuleWithOperations {
		return []admissionv1.RuleWithOperations{{Operations: operations, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{"sites"}}}}
	}
	at := func(path string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{URL: p.url(path), CABundle: p.ca}
	}
	mutating := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "compat-sites"}, Webhooks: []admissionv1.MutatingWebhook{{
		Name: "default.sites.skerry.example", ClientConfig: at("/mutate-compat-skerry-example-v1-site"), Rules: rules(admissionv1.Create, admissionv1.Update),
		SideEffects: &none, FailurePolicy: &fail, MatchPolicy: &exact, AdmissionReviewVersions: []string{"v1"}}}}
	validating := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "compat-sites"}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "check.sites.skerry.example", ClientConfig: at("/validate-compat-skerry-example-v1-site"),
		Rules:       rules(admissionv1.Create, admissionv1.Update, admissionv1.Delete),
		SideEffects: &none, FailurePolicy: &fail, MatchPolicy: &exact, AdmissionReviewVersions: []string{"v1"}}}}
	return mutating, validating
}
