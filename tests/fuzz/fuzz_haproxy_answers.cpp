// What HAProxy's Runtime API answers.
#include "fuzz.h"
#include "gateway/haproxy_answers.h"
#include "gateway/server_address.h"

#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const std::string_view text = fuzz::as_text(data, size);
  const std::size_t expected = gateway::snapshot_commands("pool").size();
  const auto answers = gateway::split_answers(text, expected);
  if (answers) {
    fuzz::expect(answers->size() == expected, "as many answers as were asked for");
    (void)gateway::parse_snapshot(*answers, "pool");
  }
  (void)gateway::parse_info(text);
  if (const auto servers = gateway::parse_servers_state(text, "pool")) {
    for (const auto& server : *servers) {
      if (server.address) {
        fuzz::expect(gateway::make_address(server.address->ip, server.address->port) == server.address,
                     "an address is in its canonical spelling");
      }
    }
  }
  (void)gateway::parse_stat(text, "pool");
  return 0;
}
