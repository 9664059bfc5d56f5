// Command network-policy makes one node keep to the cluster's NetworkPolicies, by the controller that kube-router has
// for it, and nothing else of kube-router. On SIGTERM it takes its rules away again.
//
// It exists for the local cluster where no image can be pulled: the network made there has no policies of its own.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Pods on the same node meet on a bridge: only with this set do their packets pass the rules.
const bridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// Rules are written when something changes, and all of them again as often as this.
const resync = time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "network-policy: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	if err := os.WriteFile(bridgeFilter, []byte("1\n"), 0o644); err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	settings := options.NewKubeRouterConfig()
	settings.IPTablesSyncPeriod = resync
	// The controller finds its node by the variable NODE_NAME.
	controller, err := netpol.NewNetworkPolicyController(client, settings, pods, policies, namespaces, &sync.Mutex{})
	if err != nil {
		return err
	}
	pods.AddEventHandler(controller.PodEventHandler)
	namespaces.AddEventHandler(controller.NamespaceEventHandler)
	policies.AddEventHandler(controller.NetworkPolicyEventHandler)
	factory.Start(ended)
	// Rules made of half of the objects would refuse what is allowed.
	if !cache.WaitForCacheSync(ended, pods.HasSynced, namespaces.HasSynced, policies.HasSynced) {
		return fmt.Errorf("the objects could not be read")
	}

	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 1)
	go func() {
		for range heartbeats {
			// It would wait for a reader otherwise.
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	go controller.Run(heartbeats, ended, &running)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	close(ended)
	running.Wait()
	controller.Cleanup()
	return nil
}
