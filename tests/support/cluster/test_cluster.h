// A whole small cluster in this process: the stand-in API server on a socket, controllers, scheduler,
// kubelets, and pods that are real processes on this machine. The drain gate works once its objects are
// loaded.
//
// For integration tests and the demo. One thread steps the controllers and the kubelets whenever something
// changes; everything here may be called from any thread. Destruction kills the pods' processes and stops the
// server.
#pragma once

#include "support/apiserver/server.h"
#include "support/cluster/kubelet.h"
#include "support/cluster/process_runtime.h"
#include "support/cluster/sim_runtime.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::cluster {

struct TestClusterOptions {
  apiserver::ServerOptions server;
  ImageTable images;
  std::set<std::string, std::less<>> hollow_images = {"hollow"};
  SimBehaviour hollow;  // how hollow pods behave
  int nodes = 3;
  std::vector<std::string> zones = {"zone-a", "zone-b", "zone-c"};
  PodTiming timing;
};

class TestCluster {
 public:
  static tl::expected<std::unique_ptr<TestCluster>, std::string> start(TestClusterOptions options);
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  apiserver::Server& server();
  // Creates or replaces the objects of a YAML text.
  tl::expected<void, std::string> load(std::string_view yaml);

 private:
  struct Impl;
  explicit TestCluster(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::cluster
