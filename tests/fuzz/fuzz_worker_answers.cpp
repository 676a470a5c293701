// What a router's worker API answers.
#include "fuzz.h"
#include "gateway/worker_answers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string_view text = fuzz::as_text(data, size);
  for (const auto dialect : {gateway::WorkerDialect::kVllmRouter, gateway::WorkerDialect::kSglangRouter,
                             gateway::WorkerDialect::kSmg}) {
    const auto workers = gateway::parse_workers(dialect, text);
    if (!workers) {
      fuzz::expect(workers.error().message.size() < 1000, "an error is short");
      continue;
    }
    for (const auto& worker : *workers) {
      fuzz::expect(!worker.id.empty() && !worker.url.empty(), "a worker has a name");
      if (worker.address) {
        fuzz::expect(gateway::parse_worker_url("http://" + worker.address->to_string()) == worker.address,
                     "an address is in its canonical spelling");
      }
    }
  }
  (void)gateway::parse_worker_url(text);
  (void)gateway::parse_added_id(text);
  (void)gateway::parse_addition_job(text);
  return 0;
}
