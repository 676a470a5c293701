#include "gateway/haproxy_answers.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

// Masks of srv_admin_state. CMAINT (0x04) only remembers that the maintenance came from the configuration
// and stays set after "state ready", so it is not part of being in maintenance.
constexpr std::int64_t kMaintenanceMask = 0x01 | 0x02 | 0x20;
constexpr std::int64_t kDrainMask = 0x08 | 0x10;
constexpr std::size_t kQuoted = 120;  // of an answer, in an error

kube::Error unreadable(std::string message) {
  return {kube::ErrorClass::kRetry, 0, "UnreadableAnswer", std::move(message), std::nullopt};
}

std::string quote(std::string_view text) {
  std::string out = base::ascii(text.substr(0, kQuoted));
  if (text.size() > kQuoted) out += "...";
  return out;
}

// Takes the next line off `text`, without its end.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.emplace_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

// RFC 4180, as HAProxy writes it: a field with commas or quotes is in quotes, inner quotes are doubled.
std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

// A table with a header line: finds cells by column name.
class Columns {
 public:
  explicit Columns(std::vector<std::string> names) : names_(std::move(names)) {}

  // Nothing, and the first problem noted, if the column or the cell is not there.
  const std::string* cell(const std::vector<std::string>& row, std::string_view column) {
    const auto found = std::find(names_.begin(), names_.end(), column);
    const auto index = static_cast<std::size_t>(found - names_.begin());
    if (found != names_.end() && index < row.size()) return &row[index];
    if (problem_.empty()) {
      problem_ = found == names_.end() ? fmt::format("has no column {}", column)
                                       : fmt::format("has a row without {}", column);
    }
    return nullptr;
  }
  std::int64_t number(const std::vector<std::string>& row, std::string_view column) {
    const std::string* text = cell(row, column);
    if (text == nullptr) return 0;
    if (const auto value = to_number(*text)) return *value;
    if (problem_.empty())
      problem_ = fmt::format("says '{}' for {}, which is no number", quote(*text), column);
    return 0;
  }
  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::string> names_;
  std::string problem_;
};

std::optional<kube::Error> refusal(std::string_view answer, std::string_view backend) {
  // Worded the same since 1.8: ERR and the names of the checks in HAProxy's src/cli.c and src/proxy.c.
  if (answer.find("Permission denied") != std::string_view::npos) {
    return kube::Error{kube::ErrorClass::kForbidden, 0, "PermissionDenied",
                       "HAProxy answers 'Permission denied': its stats socket line needs 'level admin'",
                       std::nullopt};
  }
  if (answer.starts_with("Can't find backend") || answer.starts_with("No such backend") ||
      answer.starts_with("No such proxy")) {
    return kube::Error{
        kube::ErrorClass::kRetry, 0, "NoSuchBackend",
        fmt::format("HAProxy has no backend named {}: correct --backend or haproxy.cfg", backend),
        std::nullopt};
  }
  return std::nullopt;
}

AdminState admin_state(std::int64_t flags) {
  if ((flags & kMaintenanceMask) != 0) return AdminState::kMaintenance;
  return (flags & kDrainMask) != 0 ? AdminState::kDrain : AdminState::kReady;
}

// Columns that say how a server is at this moment: as of one that was just set ready. A server that a file
// says is down gets no request before its next check.
std::string at_rest(std::string_view column, std::string value) {
  // Bits of a check's state: that there is one. The others are of one under way.
  constexpr std::int64_t kThereIsACheck = 0x02 | 0x04;
  if (column == "srv_op_state") return "2";
  if (column == "srv_time_since_last_change" || column == "srv_check_result") return "0";
  if (column == "srv_check_status" || column == "srv_check_health") return "1";
  if (column == "srv_check_state") return std::to_string(to_number(value).value_or(0) & kThereIsACheck);
  return value;
}

}  // namespace

std::vector<std::string> snapshot_commands(std::string_view backend) {
  // "4 -1": servers only, all of them.
  return {"show info", fmt::format("show servers state {}", backend),
          fmt::format("show stat {} 4 -1", backend)};
}

kube::Result<std::vector<std::string>> split_answers(std::string_view bytes, std::size_t expected) {
  std::vector<std::string> answers;
  std::string current;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    if (rest.find('\n') == std::string_view::npos) break;  // cut in the middle of a line
    const std::string_view line = next_line(rest);
    if (line.empty()) {
      answers.push_back(std::move(current));
      current.clear();
      if (answers.size() > expected) break;
      continue;
    }
    current.append(line).push_back('\n');
  }
  if (answers.size() == expected && rest.empty() && current.empty()) return answers;
  return tl::unexpected(unreadable(fmt::format("HAProxy gave {} whole answers to {} commands, beginning '{}'",
                                               answers.size(), expected, quote(bytes))));
}

kube::Result<ProcessInfo> parse_info(std::string_view answer) {
  const std::string start = quote(answer);
  if (auto refused = refusal(answer, {})) return tl::unexpected(std::move(*refused));
  ProcessInfo info;
  bool haproxy = false;
  while (!answer.empty()) {
    const std::string_view line = next_line(answer);
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 2);
    if (key == "Name") haproxy = value == "HAProxy";
    if (key == "Version") info.version = quote(value);
    if (key == "Pid") info.pid = to_number(value).value_or(0);
  }
  if (!haproxy || info.pid <= 0) {
    return tl::unexpected(unreadable(fmt::format(
        "what answers on the socket is not HAProxy's Runtime API: 'show info' gave '{}'", start)));
  }
  return info;
}

kube::Result<std::vector<ObservedServer>> parse_servers_state(std::string_view answer,
                                                              std::string_view backend) {
  if (auto refused = refusal(answer, backend)) return tl::unexpected(std::move(*refused));
  const std::string_view version = next_line(answer);
  std::string_view header = next_line(answer);
  if (!to_number(version) || !header.starts_with("# ")) {
    return tl::unexpected(unreadable(
        fmt::format("HAProxy's 'show servers state' begins '{}', not with a format version and a header",
                    quote(version))));
  }
  header.remove_prefix(2);
  Columns columns(split_words(header));
  std::vector<ObservedServer> servers;
  while (!answer.empty() && columns.problem().empty()) {
    const std::string_view line = next_line(answer);
    if (line.empty() || line.front() == '#') continue;
    const auto row = split_words(line);
    const std::string* of_backend = columns.cell(row, "be_name");
    const std::string* name = columns.cell(row, "srv_name");
    const std::string* ip = columns.cell(row, "srv_addr");
    const std::int64_t flags = columns.number(row, "srv_admin_state");
    const std::int64_t port = columns.number(row, "srv_port");
    const std::int64_t weight = columns.number(row, "srv_uweight");
    if (!columns.problem().empty() || *of_backend != backend) continue;
    servers.push_back({*name, make_address(*ip, port), admin_state(flags), 0, weight});
  }
  if (columns.problem().empty()) return servers;
  return tl::unexpected(unreadable(fmt::format("HAProxy's 'show servers state' {}", columns.problem())));
}

std::string to_state_file(const std::vector<std::string>& answers) {
  if (answers.size() < 2) return std::string(kEmptyStateFile);
  std::string_view answer = answers[1];
  std::string out = fmt::format("{}\n", next_line(answer));
  const std::string_view header = next_line(answer);
  out.append(header).push_back('\n');
  const std::vector<std::string> names = split_words(header.substr(std::min<std::size_t>(2, header.size())));
  while (!answer.empty()) {
    std::vector<std::string> row = split_words(next_line(answer));
    for (std::size_t i = 0; i < std::min(row.size(), names.size()); ++i)
      row[i] = at_rest(names[i], std::move(row[i]));
    out += fmt::format("{}\n", fmt::join(row, " "));
  }
  return out;
}

kube::Result<std::vector<ServerLoad>> parse_stat(std::string_view answer, std::string_view backend) {
  if (auto refused = refusal(answer, backend)) return tl::unexpected(std::move(*refused));
  std::string_view header = next_line(answer);
  if (!header.starts_with("# ")) {
    return tl::unexpected(
        unreadable(fmt::format("HAProxy's 'show stat' begins '{}', not with a header", quote(header))));
  }
  header.remove_prefix(2);
  Columns columns(split_csv(header));
  std::vector<ServerLoad> loads;
  while (!answer.empty() && columns.problem().empty()) {
    const std::string_view line = next_line(answer);
    if (line.empty()) continue;
    const auto row = split_csv(line);
    const std::string* of_backend = columns.cell(row, "pxname");
    const std::string* name = columns.cell(row, "svname");
    if (!columns.problem().empty() || *of_backend != backend || *name == "BACKEND" || *name == "FRONTEND")
      continue;
    const std::int64_t queued = columns.number(row, "qcur");
    const std::int64_t running = columns.number(row, "scur");
    // Each is a 32 bit counter in HAProxy; clamped so that no answer can overflow the sum.
    constexpr std::int64_t kMost = std::int64_t{1} << 32;
    loads.push_back(
        {*name, std::clamp<std::int64_t>(queued, 0, kMost) + std::clamp<std::int64_t>(running, 0, kMost)});
  }
  if (columns.problem().empty()) return loads;
  return tl::unexpected(unreadable(fmt::format("HAProxy's 'show stat' {}", columns.problem())));
}

kube::Result<HaproxySnapshot> parse_snapshot(const std::vector<std::string>& answers,
                                             std::string_view backend) {
  if (answers.size() != 3) {
    return tl::unexpected(unreadable(fmt::format("HAProxy gave {} answers, not 3", answers.size())));
  }
  auto info = parse_info(answers[0]);
  if (!info) return tl::unexpected(std::move(info.error()));
  auto servers = parse_servers_state(answers[1], backend);
  if (!servers) return tl::unexpected(std::move(servers.error()));
  auto loads = parse_stat(answers[2], backend);
  if (!loads) return tl::unexpected(std::move(loads.error()));
  std::map<std::string_view, std::int64_t> busy;
  for (const ServerLoad& load : *loads) busy[load.name] = load.busy;
  for (ObservedServer& server : *servers) {
    const auto found = busy.find(server.name);
    // Not in the second answer: added in between by someone else. Counts as busy, so that it is left alone.
    server.busy = found == busy.end() ? 1 : found->second;
  }
  return HaproxySnapshot{info->pid, std::move(info->version), std::move(*servers)};
}

}  // namespace poolwarden::gateway
