// A template of --template, and names of a list that it tells of.
#include "fuzz.h"
#include "gateway/list_template.h"

#include <algorithm>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  using gateway::ListTemplate;
  const std::string text(fuzz::as_text(data, size));
  const std::vector<gateway::ListedServer> servers{{{"10.0.0.1", 8000}, text, text, true},
                                                   {{"10.0.0.2", 8000}, "b", "", false},
                                                   {{"fd00::3", 8000}, "c", "z", true}};
  if (const auto parsed = ListTemplate::parse(text)) {
    const auto out = parsed->render({"vllm", "default"}, servers);
    fuzz::expect(!out || out->size() <= ListTemplate::kMaxOutput, "no more than may be");
    fuzz::expect(!out || *out == *parsed->render({"vllm", "default"}, servers), "the same each time");
  } else {
    fuzz::expect(!parsed.error().empty(), "a refusal has a reason");
  }
  static const auto kNames = ListTemplate::parse("{{#ready}}{{name}}{{zone}}{{/ready}}");
  const std::string names = *kNames->render({"vllm", "default"}, servers);
  fuzz::expect(std::all_of(names.begin(), names.end(),
                           [](char c) {
                             return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
                           }),
               "names are plain");
  return 0;
}
