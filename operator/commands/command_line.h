// The commands for people: `poolwarden status`, `why`, `drain`, `delete` and `watch`, also as
// `kubectl poolwarden ...`. Flags are read here, and each command's run() is called.
//
// Exit codes: 0; 1 if it did not go as asked, or what was asked about is not there; 2 if the command line is
// wrong; 130 after Ctrl-C.
#pragma once

#include <string>
#include <string_view>

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}

namespace poolwarden::commands {

// Adds the subcommands. `exit_code` is set when one was chosen and has run.
void add_user_commands(CLI::App& app, int& exit_code);

// How a person calls the program: "kubectl poolwarden" for the plugin, else "poolwarden".
// https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/
std::string program_name(std::string_view argv0);

}  // namespace poolwarden::commands
