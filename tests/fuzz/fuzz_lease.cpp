// A Lease, and what an elector makes of it.
#include "fuzz.h"
#include "kube/lease.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string body(fuzz::as_text(data, size));
  const auto record = kube::parse_lease(body);
  if (record) {
    fuzz::expect(!record->resource_version.empty(), "a record has a resourceVersion");
    const auto again = kube::parse_lease(kube::updated_lease(*record, record->term));
    fuzz::expect(again.has_value(), "what is written back can be read");
    fuzz::expect(again->term.holder == record->term.holder && again->uid == record->uid, "and says the same");
  }
  kube::LeaseConfig config;
  config.identity = "me";
  config.ns = "ns";
  config.name = "name";
  kube::LeaseElector elector(config, [] { return 0.0; });
  kube::TimePoint now = kube::TimePoint{} + std::chrono::hours{1};
  for (int i = 0; i < 12; ++i) {
    for (const kube::LeaseOutput& output : elector.tick(now, kube::WallTime{})) {
      if (const auto* send = std::get_if<kube::SendLeaseCall>(&output)) {
        (void)elector.answer(send->attempt, body, now, kube::WallTime{});
        break;
      }
    }
    fuzz::expect(!elector.valid(now) || std::holds_alternative<kube::Leading>(elector.state()),
                 "valid is Leading");
    now += std::chrono::seconds{2};
  }
  return 0;
}
