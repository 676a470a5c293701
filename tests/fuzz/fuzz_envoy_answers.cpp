// What Envoy's admin interface answers, and its file of endpoints.
#include "fuzz.h"
#include "gateway/envoy_answers.h"
#include "gateway/server_address.h"

#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string_view text = fuzz::as_text(data, size);
  const auto look_at = [](const std::vector<gateway::EnvoyHost>& hosts) {
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      fuzz::expect(gateway::make_address(hosts[i].address.ip, hosts[i].address.port) == hosts[i].address,
                   "an address is in its canonical spelling");
      fuzz::expect(i == 0 || hosts[i - 1].address < hosts[i].address, "each address is there once, in order");
    }
    const auto again = gateway::parse_assignment(gateway::to_assignment("vllm", hosts), "vllm");
    fuzz::expect(again && again->size() == hosts.size(), "what is written can be read");
  };
  (void)gateway::parse_server_info(text);
  (void)gateway::parse_updates(text, "vllm");
  if (const auto hosts = gateway::parse_clusters(text, "vllm"); hosts && *hosts) look_at(**hosts);
  if (const auto hosts = gateway::parse_assignment(text, "vllm")) look_at(*hosts);
  return 0;
}
