// What a gateway that is configured by a file is to be told, given the published list and what it was told
// last. Pure; any thread.
//
// An endpoint's life in what a template sees:
//   absent -> ready -> draining -> absent
//   draining -> ready   the endpoint came back
// It drains as long as the list has it so. How long the gateway itself still works for it, nobody here knows:
// a gateway that reloads its file finishes what it has, whatever the file says then.
#pragma once

#include "gateway/gateway.h"
#include "gateway/list_template.h"

#include <vector>

namespace poolwarden::gateway {

struct TemplateSnapshot {
  std::vector<ListedServer> servers;  // as it was told last, sorted by address
  bool known = false;                 // it was told, and nothing was changed since: no file, no template
  bool reloading = false;             // it was told so lately that it may still be at it
};

Plan make_template_plan(const std::vector<WantedServer>& wanted, const TemplateSnapshot& snapshot);

// What it has once the commands are carried out: sorted by address.
std::vector<ListedServer> list_after(const std::vector<ListedServer>& servers,
                                     const std::vector<Command>& commands);

}  // namespace poolwarden::gateway
