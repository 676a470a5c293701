#include "scenarios/scenario.h"

#include "scenarios/scenario_run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace poolwarden::scenarios {
namespace {

// Words, of which one may be quoted with ' to hold spaces (JSON does).
std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool open = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      open = true;
    } else if (!quoted && c == '#') {
      break;
    } else if (!quoted && (c == ' ' || c == '\t')) {
      if (open) words.push_back(word);
      word.clear();
      open = false;
    } else {
      word.push_back(c);
      open = true;
    }
  }
  if (quoted) throw std::runtime_error("a quote is not closed");
  if (open) words.push_back(word);
  return words;
}

std::string told(const ScenarioRun& run) {
  std::string text;
  for (const std::string& line : run.logs()) text += "\n    " + line;
  return text;
}

}  // namespace

std::string run_scenario(const std::string& path) {
  std::ifstream file(path);
  if (!file) return path + ": cannot be read";
  const std::string name = std::filesystem::path(path).filename().string();
  ScenarioRun run;
  std::string line;
  int number = 0;
  try {
    while (std::getline(file, line)) {
      ++number;
      const auto words = split(line);
      if (!words.empty()) run.execute(words);
      run.check_invariants();
    }
    ++number;
    run.finish();
  } catch (const std::exception& problem) {
    return fmt::format("{}:{}: {}\n  what was logged:{}", name, number, problem.what(), told(run));
  }
  return {};
}

std::vector<std::string> find_scenarios(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".txt" && entry.path().filename() != "CMakeLists.txt") {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace poolwarden::scenarios
