// A server for probes of every kind: gRPC health (9000), HTTPS with a certificate nobody knows (8443), plain HTTP to steer them (8080).
//
//	GET :8080/set?ready=false   the gRPC service "ready" answers NOT_SERVING
//	GET :8080/set?live=false    :8443/live answers 500
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"elsewhere"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func main() {
	states := health.NewServer()
	states.SetServingStatus("ready", grpc_health_v1.HealthCheckResponse_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	listener, err := net.Listen("tcp", ":9000")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.Serve(listener)) }()

	var dead atomic.Bool
	secure := http.NewServeMux()
	secure.HandleFunc("/live", func(w http.ResponseWriter, r *http.Request) {
		if dead.Load() {
			http.Error(w, "no more", http.StatusInternalServerError)
		}
	})
	go func() {
		s := http.Server{Addr: ":8443", Handler: secure, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
		log.Fatal(s.ListenAndServeTLS("", ""))
	}()

	http.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("ready") == "false" {
			states.SetServingStatus("ready", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		}
		if r.URL.Query().Get("live") == "false" {
			dead.Store(true)
		}
	})
	log.Print("serving")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
