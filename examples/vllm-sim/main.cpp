// vllm-sim: a stand-in for a vLLM server, for tests and demonstrations. It runs no model.
#include "engine.h"
#include "listener.h"
#include "request.h"
#include "routes.h"

#include <csignal>
#include <cstdlib>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

namespace {

using namespace vllm_sim;
using Clock = std::chrono::steady_clock;

// How often the gauges of /metrics are brought up to date: about as often as a busy vLLM logs its statistics.
constexpr timespec kStatsInterval{0, 50'000'000};

constexpr const char* kAbout =
    "vllm-sim is a stand-in for a vLLM server: it answers vLLM's HTTP API and behaves like vLLM when it "
    "starts,\n"
    "is busy and is told to stop, but it runs no model. Its answers are the prompt's own words again.\n\n"
    "On SIGTERM it does as vLLM does. Without --shutdown-timeout, requests in flight are cut at once. With\n"
    "--shutdown-timeout N, new requests are refused with 503, those in flight have N seconds to finish.";

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app{kAbout, "vllm-sim"};
  const auto millis = CLI::Range(0, 3'600'000);
  app.add_option("--host", options.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "Port to listen on; 0 for any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--model", options.model, "Name of the model that is pretended to be loaded")
      ->capture_default_str();
  app.add_option("--served-model-name", options.served_model_names,
                 "Names that requests may use instead of the model's own; the first labels the metrics");
  app.add_option("--max-num-seqs", options.max_num_seqs, "Requests generated at once; more wait in line")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--max-model-len", options.max_model_len, "Longest prompt and answer together, in words")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--time-to-first-token", options.time_to_first_token_ms,
                 "Milliseconds until the first token")
      ->check(millis)
      ->capture_default_str();
  app.add_option("--time-per-output-token", options.time_per_output_token_ms,
                 "Milliseconds for each further token")
      ->check(millis)
      ->capture_default_str();
  app.add_option("--startup-duration", options.startup_duration_s,
                 "Seconds of \"loading the model\", during which connections are refused")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  app.add_option(
         "--shutdown-timeout", options.shutdown_timeout_s,
         "Seconds that requests in flight get after SIGTERM; 0 cuts them at once, as vLLM's default does")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  app.add_option("--data-parallel-size", options.data_parallel_size,
                 "Engines behind the one port, each with --max-num-seqs of its own")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option(
         "--saturated-above", options.saturated_above,
         "With more requests in flight than that, /health is not answered until there are fewer; 0: never")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_option("--metrics-api-key", options.metrics_api_key,
                 "Key without which /metrics answers 401, as if a proxy before vLLM asked for it");
  app.add_option("--seed", options.seed, "Where in the prompt's words the answers begin")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  if (const char* pod = std::getenv("POD_NAME"); pod != nullptr) options.pod_name = pod;
  return options;
}

void say(const std::string& text) {
  const std::string line = "INFO:     " + text + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) return;  // nobody reads the log
}

// True if a stop was asked for within the time.
bool stop_asked(const sigset_t& signals, const timespec& within) {
  return ::sigtimedwait(&signals, nullptr, &within) > 0;
}

void serve_until_asked(Engine& engine, const sigset_t& signals) {
  while (!stop_asked(signals, kStatsInterval)) engine.refresh_stats();
}

// A second signal ends the patience.
void finish_in_flight(const Options& options, Engine& engine, const Listener& listener,
                      const sigset_t& signals) {
  const auto deadline = Clock::now() + std::chrono::seconds(options.shutdown_timeout_s);
  while (listener.in_flight() > 0 && Clock::now() < deadline && !stop_asked(signals, {0, 10'000'000})) {
    engine.refresh_stats();
  }
  say(listener.in_flight() == 0 ? "All requests finished."
                                : fmt::format("Aborting {} requests in flight.", listener.in_flight()));
}

int run(const Options& options, const sigset_t& signals) {
  say(fmt::format("Started vllm-sim [{}], a stand-in for vLLM: no model runs here.", ::getpid()));
  say(fmt::format("Loading model {} ({} s).", options.model, options.startup_duration_s));
  if (stop_asked(signals, {options.startup_duration_s, 0})) return 0;

  Engine engine(options);
  Listener listener;
  Draining draining{false};
  add_routes(listener, engine, options, draining);
  const int port = listener.bind(options.host, options.port);
  if (port <= 0) {
    fmt::print(stderr,
               "vllm-sim: cannot listen on {}:{}. Is another program using it? Choose another --port.\n",
               options.host, options.port);
    return 1;
  }
  std::thread server([&] { listener.listen_after_bind(); });
  say(fmt::format("Uvicorn running on http://{}:{} (that is, vllm-sim in its place)", options.host, port));
  serve_until_asked(engine, signals);

  draining = true;
  say("Shutting down");
  if (options.shutdown_timeout_s > 0) finish_in_flight(options, engine, listener, signals);
  // Connections that are still open are cut by the end of the process, without an answer: so does vLLM's.
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread: only run() takes them
  ::signal(SIGPIPE, SIG_IGN);
  return run(options, signals);
}
