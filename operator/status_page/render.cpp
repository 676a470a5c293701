#include "status_page/render.h"

#include "base/text.h"
#include "commands/durations.h"
#include "status_page/html.h"
#include "status_page/style.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

namespace poolwarden::status_page {
namespace {

using base::plural;

// From here on the page says that it is old.
constexpr seconds kOld{15};

// How a mark looks: a class of the style sheet, a sign, and a word.
struct Mark {
  std::string_view look;
  std::string_view sign;
  std::string_view word;
};

Mark mark_of(Level level) {
  switch (level) {
    case Level::kTrouble:
      return {"bad", "✖", "trouble"};
    case Level::kRisk:
      return {"warn", "▲", "at risk"};
    case Level::kSettling:
      return {"note", "…", "settling"};
    case Level::kFine:
      break;
  }
  return {"good", "✔", "fine"};
}

// The word is the state itself.
Mark mark_of_state(std::string_view state) {
  if (state == "ready") return {"good", "●", "ready"};
  if (state == "draining") return {"warn", "◐", "draining"};
  if (state == "finishing") return {"warn", "◐", "finishing"};
  if (state == "drained") return {"faint", "○", "drained"};
  return {"bad", "✖", state};
}

void add_mark(Html& html, const Mark& mark) {
  html.tag("<span class=\"").constant(mark.look).tag("\">").constant(mark.sign).tag(" ");
  html.text(mark.word).tag("</span>");
}

std::string short_time(const std::optional<seconds>& time) {
  return time ? commands::in_short(*time) : "–";
}

// A name that may stand in the address of a part of the page.
bool is_anchor(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '/';
  });
}

// "Degraded is True (Overlap): ..."
void add_problem(Html& html, std::string_view look, const ProblemPart& problem) {
  html.tag("<p><span class=\"").constant(look).tag("\">").name(problem.what).tag("</span>: ");
  html.name(problem.message).tag("</p>");
}

class Page {
 public:
  explicit Page(const StatusPage& page) : page_(page) {}

  std::string make() {
    add_head();
    if (page_.age) {
      add_warnings();
      add_answer();
      add_pools();
      add_endpoints();
      add_drains();
      add_consumers();
    } else {
      say("note", "…", "The operator has just started, and has seen nothing yet.", "");
    }
    add_replica();
    html_.tag("<footer>This page reloads itself every 10 s. It shows and changes nothing else: see ");
    html_.tag(
        "<code>kubectl poolwarden status</code>, <code>why</code> and <a href=\"/metrics\">/metrics</a>.");
    html_.tag("</footer>\n</body>\n</html>\n");
    return html_.take();
  }

 private:
  std::size_t at(Level level) const {
    return static_cast<std::size_t>(std::count_if(page_.pools.begin(), page_.pools.end(),
                                                  [&](const PoolPart& pool) { return pool.level == level; }));
  }
  Level worst() const {
    Level found = Level::kFine;
    for (const PoolPart& pool : page_.pools) found = std::max(found, pool.level);
    return found;
  }

  void say(std::string_view look, std::string_view sign, std::string_view what, std::string_view more) {
    html_.tag("<div class=\"say ").constant(look).tag("\"><strong>").constant(sign).tag(" ");
    html_.text(what).tag("</strong>").text(more).tag("</div>\n");
  }

  void add_head();
  void add_warnings();
  void add_answer();
  void add_pools();
  void add_pool_row(const PoolPart& pool);
  void add_endpoints();
  void add_endpoint_row(const EndpointPart& endpoint);
  void add_drains();
  void add_consumers();
  void add_replica();

  const StatusPage& page_;
  Html html_;
};

void Page::add_head() {
  const Mark mark = mark_of(worst());
  html_.tag("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
  html_.tag("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
  html_.tag("<meta http-equiv=\"refresh\" content=\"10\">\n");
  html_.tag("<link rel=\"icon\" href=\"data:,\">\n<title>").constant(mark.sign).tag(" Poolwarden</title>\n");
  html_.tag("<style>").constant(style()).tag("</style>\n</head>\n<body>\n");
  html_.tag("<header><h1>Poolwarden <span class=\"faint\">").text(page_.version).tag("</span></h1><p>");
  switch (page_.role) {
    case Role::kAlone:
      html_.tag("the only replica");
      break;
    case Role::kLeads:
      html_.tag("leader: ").name(page_.identity);
      break;
    case Role::kStandby:
      html_.tag("standby: ").name(page_.identity);
      break;
  }
  if (page_.age) html_.tag(" · as of ").text(commands::in_words(*page_.age)).tag(" ago");
  html_.tag("</p></header>\n");
}

// What makes the rest of the page less than true.
void Page::add_warnings() {
  if (*page_.age >= kOld)
    say("bad", "✖", fmt::format("What follows is {} old.", commands::in_words(*page_.age)),
        "The operator's loop has not looked since. See /healthz?verbose of the probes' port.");
  if (page_.role == Role::kStandby && page_.leader.empty())
    say("bad", "✖", "No replica is seen to lead.",
        "This is a standby. What pools report is what a leader wrote last, and may be old.");
  else if (page_.role == Role::kStandby)
    say("note", "…", "This replica is a standby.",
        "It shows what it sees itself, and what the leader reports of the pools.");
  for (const ProblemPart& kind : page_.blind)
    say("bad", "✖", fmt::format("This replica does not see {} as they are.", kind.what), kind.message);
}

void Page::add_answer() {
  const std::size_t all = page_.pools.size();
  const std::string of_all = page_.more_pools == 0 ? plural(static_cast<std::int64_t>(all), "pool")
                                                   : fmt::format("the {} pools shown", all);
  std::int64_t ready = 0;
  std::int64_t wanted = 0;
  for (const PoolPart& pool : page_.pools) {
    // One that has too many does not make up for one that has too few.
    ready += std::min(pool.ready, pool.wanted.value_or(0));
    wanted += pool.wanted.value_or(0);
  }
  std::string more =
      fmt::format("{} of {} wanted replicas ready, {}.", ready, wanted,
                  page_.drains.empty() ? "none draining" : fmt::format("{} draining", page_.drains.size()));
  const Mark mark = mark_of(worst());
  html_.tag("<main>\n");
  if (all == 0) return say("note", "…", "There is no InferencePool.", "");
  switch (worst()) {
    case Level::kTrouble:
      return say(mark.look, mark.sign, fmt::format("In trouble: {} of {}.", at(Level::kTrouble), of_all),
                 more);
    case Level::kRisk:
      return say(mark.look, mark.sign,
                 fmt::format("Requests are served. At risk: {} of {}.", at(Level::kRisk), of_all), more);
    case Level::kSettling:
      return say(mark.look, mark.sign,
                 fmt::format("Requests are served. Settling: {} of {}.", at(Level::kSettling), of_all), more);
    case Level::kFine:
      say(mark.look, mark.sign, fmt::format("Requests are safe in {}.", of_all), more);
  }
}

void Page::add_pools() {
  if (page_.pools.empty()) return;
  html_.tag(
      "<h2>Pools</h2>\n<table class=\"pools\">\n<tr><th>State</th><th>Pool</th><th class=\"n\">Ready</th>");
  html_.tag(
      "<th class=\"n\">Wanted</th><th class=\"n\">On the list</th><th class=\"n\">Draining</th></tr>\n");
  for (const PoolPart& pool : page_.pools) add_pool_row(pool);
  html_.tag("</table>\n");
  if (page_.more_pools > 0) {
    html_.tag("<p class=\"more\">and ").text(plural(static_cast<std::int64_t>(page_.more_pools), "pool"));
    html_.tag(" more: <code>kubectl get pwp --all-namespaces</code></p>\n");
  }
}

void Page::add_pool_row(const PoolPart& pool) {
  const Mark mark = mark_of(pool.level);
  html_.tag("<tr").constant(pool.problems.empty() ? "" : " class=\"open\"").tag("><td class=\"s\">");
  add_mark(html_, mark);
  html_.tag("</td><td class=\"m\">");
  if (is_anchor(pool.name) && !pool.endpoints.empty())
    html_.tag("<a href=\"#").text(pool.name).tag("\">").name(pool.name).tag("</a>");
  else
    html_.name(pool.name);
  html_.tag("</td><td class=\"n\">").number(pool.ready).tag("</td><td class=\"n\">");
  html_.text(pool.wanted ? std::to_string(*pool.wanted) : "–").tag("</td><td class=\"n\">");
  html_.number(static_cast<std::int64_t>(pool.listed)).tag("</td><td class=\"n\">");
  html_.number(pool.draining).tag("</td></tr>\n");
  if (pool.problems.empty()) return;
  html_.tag("<tr class=\"why\"><td></td><td colspan=\"5\">");
  for (const ProblemPart& problem : pool.problems) add_problem(html_, mark.look, problem);
  html_.tag("</td></tr>\n");
}

void Page::add_endpoints() {
  html_.tag("<h2>Endpoints</h2>\n");
  bool any = false;
  for (const PoolPart& pool : page_.pools) {
    if (pool.endpoints.empty() && pool.more_endpoints == 0) continue;
    any = true;
    html_.tag("<h3 class=\"m\"");
    if (is_anchor(pool.name)) html_.tag(" id=\"").text(pool.name).tag("\"");
    html_.tag(">").name(pool.name).tag("</h3>\n<table class=\"endpoints\">\n<tr><th>State</th>");
    html_.tag("<th class=\"n\">For</th><th>Pod</th><th>Reason</th><th class=\"wide\">Node</th>");
    html_.tag("<th class=\"n wide\">Age</th></tr>\n");
    for (const EndpointPart& endpoint : pool.endpoints) add_endpoint_row(endpoint);
    html_.tag("</table>\n");
    if (pool.more_endpoints > 0) {
      html_.tag("<p class=\"more\">and ").text(plural(static_cast<std::int64_t>(pool.more_endpoints), "pod"));
      html_.tag(" more: <code>kubectl poolwarden status</code></p>\n");
    }
  }
  if (!any) html_.tag("<p class=\"faint\">None.</p>\n");
}

void Page::add_endpoint_row(const EndpointPart& endpoint) {
  html_.tag("<tr><td class=\"s\">");
  add_mark(html_, mark_of_state(endpoint.state));
  html_.tag("</td><td class=\"n\">").text(short_time(endpoint.in_state)).tag("</td><td class=\"m\">");
  html_.name(endpoint.pod).tag("</td><td>");
  if (!endpoint.reason.empty()) html_.name(endpoint.reason);
  if (endpoint.listed && endpoint.state != "ready")
    html_.constant(endpoint.reason.empty() ? "" : "; ").tag("<span class=\"warn\">still on the list</span>");
  if (!endpoint.message.empty()) {
    html_.constant(endpoint.reason.empty() ? "" : "; ").name(endpoint.message);
  }
  html_.tag("</td><td class=\"m wide\">").name(endpoint.node).tag("</td><td class=\"n wide\">");
  html_.text(short_time(endpoint.age)).tag("</td></tr>\n");
}

void Page::add_drains() {
  html_.tag("<h2>Drains</h2>\n");
  if (page_.drains.empty()) {
    html_.tag("<p class=\"faint\">None.</p>\n");
    return;
  }
  html_.tag("<table class=\"drains\">\n<tr><th class=\"n\">In flight</th><th class=\"n\">For</th>");
  html_.tag("<th class=\"n\">At most</th><th>Pod</th><th>Reason</th><th class=\"wide\">Pool</th></tr>\n");
  for (const DrainPart& drain : page_.drains) {
    html_.tag("<tr><td class=\"n\">").text(drain.in_flight ? std::to_string(*drain.in_flight) : "?");
    html_.tag("</td><td class=\"n\">").text(short_time(drain.so_far)).tag("</td><td class=\"n\">");
    if (drain.left && *drain.left <= seconds(0))
      html_.tag("<span class=\"warn\">time is up</span>");
    else
      html_.text(drain.left ? short_time(drain.left) + " more" : "–");
    html_.tag("</td><td class=\"m\">").name(drain.pod).tag("</td><td>").name(drain.reason);
    if (!drain.message.empty()) html_.constant(drain.reason.empty() ? "" : "; ").name(drain.message);
    html_.tag("</td><td class=\"m wide\">").name(drain.pool).tag("</td></tr>\n");
  }
  html_.tag("</table>\n");
}

void Page::add_consumers() {
  html_.tag("<h2>Gateways that confirm</h2>\n");
  if (page_.consumers.empty()) {
    html_.tag("<p class=\"faint\">None: no gateway says in a Lease which revision of a list it holds.</p>\n");
    return;
  }
  html_.tag("<table class=\"consumers\">\n<tr><th>State</th><th class=\"n\">Behind</th>");
  html_.tag("<th class=\"n\">Revision</th><th>Gateway</th><th class=\"wide\">Kind</th><th>Pool</th>");
  html_.tag("<th class=\"n wide\">Confirmed</th></tr>\n");
  for (const ConsumerPart& one : page_.consumers) {
    html_.tag("<tr><td class=\"s\">");
    add_mark(html_, !one.live        ? Mark{"bad", "✖", "silent"}
                    : one.behind > 0 ? Mark{"warn", "▲", "behind"}
                                     : Mark{"good", "●", "up to date"});
    html_.tag("</td><td class=\"n\">").number(one.behind).tag("</td><td class=\"n\">").number(one.revision);
    html_.tag("</td><td class=\"m\">").name(one.name).tag("</td><td class=\"wide\">").name(one.kind);
    html_.tag("</td><td class=\"m\">").name(one.pool).tag("</td><td class=\"n wide\">");
    html_.text(one.confirmed ? short_time(one.confirmed) + " ago" : "–").tag("</td></tr>\n");
  }
  html_.tag("</table>\n");
  if (page_.more_consumers > 0) {
    html_.tag("<p class=\"more\">and ");
    html_.text(plural(static_cast<std::int64_t>(page_.more_consumers), "gateway"));
    html_.tag(" more</p>\n");
  }
}

void Page::add_replica() {
  if (page_.age)
    html_.tag("<h2>Who leads</h2>\n<p>");
  else
    html_.tag("<main>\n<p>");
  switch (page_.role) {
    case Role::kAlone:
      html_.constant(page_.age ? "Leader election is off: this replica writes." : "");
      break;
    case Role::kLeads:
      html_.tag("This replica leads: ").name(page_.identity).tag(".");
      break;
    case Role::kStandby:
      html_.tag("This replica is a standby: ").name(page_.identity).tag(". ");
      if (page_.leader.empty())
        html_.tag("No replica is seen to hold the Lease.");
      else
        html_.name(page_.leader).tag(" leads.");
      break;
  }
  html_.tag("</p>\n</main>\n");
}

}  // namespace

std::string render(const StatusPage& page) {
  return Page(page).make();
}

}  // namespace poolwarden::status_page
