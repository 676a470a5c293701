// One lambda for each alternative of a std::variant: std::visit(Overloaded{[](const A&) {}, [](const B&) {}},
// x).
#pragma once

namespace poolwarden::cluster {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace poolwarden::cluster
