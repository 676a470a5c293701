#include "status_page/style.h"

#include <array>

#include <openssl/evp.h>

namespace poolwarden::status_page {
namespace {

// Colour says nothing alone: each state has a mark and a word, too.
constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--page:#fff;--ink:#1c2128;--faint:#59636e;--line:#d9dee3;--head:#f4f6f8;
--bad:#b3261e;--bad-wash:#fdecea;--warn:#8a5300;--warn-wash:#fff4dd;--good:#1a6b36;--good-wash:#e9f6ed;
--note:#2f5f9e;--note-wash:#eaf1fa}
@media (prefers-color-scheme:dark){:root{--page:#12161b;--ink:#e4e8ec;--faint:#98a3ae;--line:#2b333c;
--head:#1a2027;--bad:#ff8f85;--bad-wash:#33191a;--warn:#f0b95b;--warn-wash:#2f2411;--good:#6fcf8f;
--good-wash:#13281b;--note:#8fbcf5;--note-wash:#162437}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.25rem 1.5rem 3rem;background:var(--page);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;justify-content:space-between}
h1{font-size:1.15rem;margin:0}
h2{font-size:1.05rem;margin:2rem 0 .5rem}
h3{font-size:.95rem;margin:1.25rem 0 .35rem;font-weight:600;overflow-wrap:anywhere}
p{margin:.35rem 0}
a{color:inherit;text-underline-offset:.2em;text-decoration-color:var(--faint)}
.faint,header p{color:var(--faint)}
.say{margin:.9rem 0 0;padding:.7rem .9rem;border-left:.3rem solid;border-radius:.2rem;overflow-wrap:anywhere}
.say strong{display:block;font-size:1.1rem}
.say.good{border-color:var(--good);background:var(--good-wash)}
.say.bad{border-color:var(--bad);background:var(--bad-wash)}
.say.warn{border-color:var(--warn);background:var(--warn-wash)}
.say.note{border-color:var(--note);background:var(--note-wash)}
.say span{color:var(--ink)}
table{width:100%;border-collapse:collapse;font-size:.875rem}
th,td{padding:.3rem .6rem;text-align:left;vertical-align:baseline;overflow:hidden;overflow-wrap:anywhere;
border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--faint);background:var(--head);white-space:nowrap}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;width:1%}
.s{white-space:nowrap;width:1%}
.m{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.8125rem}
.endpoints{table-layout:fixed}
.endpoints th:nth-child(1){width:7.75rem}.endpoints th:nth-child(2){width:4rem}
.endpoints th:nth-child(4){width:26%}.endpoints th:nth-child(5){width:17%}.endpoints th:nth-child(6){width:4rem}
.open td{border-bottom:0}
.why td{padding-top:0}
.why p{margin:.1rem 0 .3rem}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.note{color:var(--note)}
.say.good,.say.bad,.say.warn,.say.note{color:inherit}
.bad,.warn{font-weight:600}
.say{font-weight:400}
footer{margin-top:2.5rem;color:var(--faint);font-size:.8125rem}
@media (max-width:44rem){body{padding:.9rem .75rem 2rem}.wide{display:none}th,td{padding:.3rem .4rem}
th{white-space:normal}.endpoints th:nth-child(4){width:32%}}
)css";

}  // namespace

std::string_view style() {
  return kStyle;
}

std::string policy() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(kStyle.data(), kStyle.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::array<unsigned char, 4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1> base64{};
  const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
  std::string out = "default-src 'none'; style-src 'sha256-";
  out.append(base64.begin(), base64.begin() + length);
  return out + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

}  // namespace poolwarden::status_page
