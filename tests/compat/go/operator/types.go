package main

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"

	"skerry.example/compat/internal/must"
)

const group = "compat.skerry.example"

type SiteSpec struct {
	Image    string            `json:"image"`
	Replicas *int32            `json:"replicas,omitempty"`
	Pages    map[string]string `json:"pages,omitempty"`
}

type SiteStatus struct {
	Pods       int32              `json:"pods,omitempty"`
	Seen       int64              `json:"seen,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

type Site struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              SiteSpec   `json:"spec,omitempty"`
	Status            SiteStatus `json:"status,omitempty"`
}

type SiteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Site `json:"items"`
}

// The older version has other names for the same.
type OldSite struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              OldSiteSpec `json:"spec,omitempty"`
	Status            SiteStatus  `json:"status,omitempty"`
}

type OldSiteSpec struct {
	Container string            `json:"container,omitempty"`
	Size      int32             `json:"size,omitempty"`
	Pages     map[string]string `json:"pages,omitempty"`
}

type OldSiteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OldSite `json:"items"`
}

func copied[T any](in *T) *T {
	text, err := json.Marshal(in)
	must.Do(err, "marshal")
	out := new(T)
	must.Do(json.Unmarshal(text, out), "unmarshal")
	return out
}

func (s *Site) DeepCopyObject() runtime.Object        { return copied(s) }
func (s *SiteList) DeepCopyObject() runtime.Object    { return copied(s) }
func (s *OldSite) DeepCopyObject() runtime.Object     { return copied(s) }
func (s *OldSiteList) DeepCopyObject() runtime.Object { return copied(s) }

func (s *Site) Hub() {}

func (s *OldSite) ConvertTo(hub conversion.Hub) error {
	out := hub.(*Site)
	out.ObjectMeta, out.Status = s.ObjectMeta, s.Status
	out.Spec = SiteSpec{Image: s.Spec.Container, Pages: s.Spec.Pages}
	if s.Spec.Size != 0 {
		out.Spec.Replicas = &s.Spec.Size
	}
	return nil
}

func (s *OldSite) ConvertFrom(hub conversion.Hub) error {
	in := hub.(*Site)
	s.ObjectMeta, s.Status = in.ObjectMeta, in.Status
	s.Spec = OldSiteSpec{Container: in.Spec.Image, Pages: in.Spec.Pages}
	if in.Spec.Replicas != nil {
		s.Spec.Size = *in.Spec.Replicas
	}
	return nil
}

func addTypes(scheme *runtime.Scheme) {
	current, old := schema.GroupVersion{Group: group, Version: "v1"}, schema.GroupVersion{Group: group, Version: "v1beta1"}
	scheme.AddKnownTypes(current, &Site{}, &SiteList{})
	scheme.AddKnownTypeWithName(old.WithKind("Site"), &OldSite{})
	scheme.AddKnownTypeWithName(old.WithKind("SiteList"), &OldSiteList{})
	metav1.AddToGroupVersion(scheme, current)
	metav1.AddToGroupVersion(scheme, old)
}
