// testcluster: a stand-in for a Kubernetes cluster on this machine, for tests and the demo.
#include "support/cluster/test_cluster.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

namespace {

using namespace poolwarden;
using namespace poolwarden::cluster;

constexpr const char* kAbout =
    "testcluster is a stand-in for a Kubernetes cluster, for tests and demonstrations: an API server in "
    "memory\n"
    "that kubectl can talk to, Deployment and ReplicaSet controllers, a trivial scheduler, and a kubelet "
    "that\n"
    "runs each pod as a process on this machine, on an address of its own in 127.0.0.0/8. It is not "
    "Kubernetes\n"
    "and keeps nothing: all is gone when it ends.\n\n"
    "There are no images. --image says which command an image's name stands for; the pod's variables can be\n"
    "used in it: --image 'vllm/vllm-openai=build/bin/vllm-sim --host $(POD_IP)'.\n\n"
    "It evaluates no CEL, but does what Poolwarden's manifests/gate/drain_gate.yaml says while that is "
    "applied.";

struct Flags {
  TestClusterOptions cluster;
  std::string kubeconfig;
  std::vector<std::string> manifests;
  bool plain_http = false;
};

std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

std::string add_image(ImageTable& images, const std::string& entry) {
  const std::size_t equals = entry.find('=');
  if (equals == 0 || equals == std::string::npos)
    return "must be NAME=COMMAND, as in vllm=build/bin/vllm-sim";
  images[entry.substr(0, equals)] = split(entry.substr(equals + 1));
  return images[entry.substr(0, equals)].empty() ? "names no command after the '='" : std::string{};
}

void declare(CLI::App& app, Flags& flags) {
  TestClusterOptions& cluster = flags.cluster;
  app.add_option("--address", cluster.server.address, "Address of the API server, in 127.0.0.0/8")
      ->capture_default_str();
  app.add_option("--port", cluster.server.port, "Port of the API server; 0 for any free one")
      ->capture_default_str();
  app.add_option(
      "--directory", cluster.server.directory,
      "Where ca.crt, client.crt, client.key, token and kubeconfig are written; default: a new one, "
      "removed at the end");
  app.add_option("--kubeconfig", flags.kubeconfig, "Also write the kubeconfig here; removed at the end");
  app.add_option("--crd,--apply", flags.manifests, "YAML files to create objects from at the start, in order")
      ->check(CLI::ExistingFile);
  app.add_option_function<std::vector<std::string>>(
      "--image",
      [&cluster](const std::vector<std::string>& entries) {
        for (const std::string& entry : entries) {
          if (const std::string problem = add_image(cluster.images, entry); !problem.empty()) {
            throw CLI::ValidationError("--image " + entry, problem);
          }
        }
      },
      "NAME=COMMAND: what an image's name stands for; can be repeated");
  app.add_option("--hollow", cluster.hollow_images,
                 "Images whose pods get a status but no process, for benchmarks")
      ->capture_default_str();
  app.add_option("--nodes", cluster.nodes, "Number of nodes")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--zones", cluster.zones, "Zones that the nodes are spread over")->delimiter(',');
  app.add_flag("--plain-http", flags.plain_http, "Serve the API without TLS");
  app.add_option_function<int>(
      "--crash-backoff",
      [&cluster](int seconds) { cluster.timing.first_backoff = std::chrono::seconds(seconds); },
      "Seconds before a container that crashed a second time is started again; doubles up to 300");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Removes what this program wrote.
struct Files {
  std::string directory;  // made by us, so ours to remove
  std::string kubeconfig;
  ~Files() {
    std::error_code ignored;
    if (!directory.empty()) std::filesystem::remove_all(directory, ignored);
    if (!kubeconfig.empty()) std::filesystem::remove(kubeconfig, ignored);
  }
};

int fail(const std::string& message) {
  fmt::print(stderr, "testcluster: {}\n", message);
  return 1;
}

int run(Flags& flags, const sigset_t& signals) {
  Files files;
  if (flags.cluster.server.directory.empty()) {
    std::string name = (std::filesystem::temp_directory_path() / "testcluster-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return fail("cannot make a directory in " + name);
    flags.cluster.server.directory = files.directory = name;
  }
  flags.cluster.server.tls = !flags.plain_http;
  auto cluster = TestCluster::start(std::move(flags.cluster));
  if (!cluster) return fail(cluster.error());
  for (const std::string& path : flags.manifests) {
    if (auto loaded = (*cluster)->load(read_file(path)); !loaded) return fail(path + ": " + loaded.error());
  }
  std::string kubeconfig = (*cluster)->server().kubeconfig_path();
  if (!flags.kubeconfig.empty()) {
    std::ofstream(flags.kubeconfig) << (*cluster)->server().kubeconfig();
    std::error_code ignored;
    std::filesystem::permissions(flags.kubeconfig, std::filesystem::perms(0600), ignored);
    files.kubeconfig = kubeconfig = flags.kubeconfig;
  }
  fmt::print(
      "testcluster: a stand-in for Kubernetes is ready at {}\ntestcluster: kubectl --kubeconfig={} get "
      "pods\n",
      (*cluster)->server().url(), kubeconfig);
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&signals, &signal);
  fmt::print("testcluster: stopping\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{kAbout, "testcluster"};
  declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread: only run() takes them
  ::signal(SIGPIPE, SIG_IGN);
  return run(flags, signals);
}
