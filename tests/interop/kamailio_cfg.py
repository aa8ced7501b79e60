"""The text of a Kamailio configuration for kamailio.py: dmq, htable, and the script routes of `/op`.

Table names cannot be variables in `$sht(...)`, so each operation has one branch for each table.
"""

from collections.abc import Sequence
from pathlib import Path

#: A longer value goes to and from the script in pieces: in hexadecimal it would not fit into its buffers.
PIECE_BYTES = 12_000

# dmq comes before htable, which registers its peer there while it is loaded; so does db_text, for `dbtable`.
MODULES = ("tm", "sl", "pv", "kex", "textops", "xlog", "xhttp", "jsonrpcs", "dmq", "db_text", "htable")

HEAD = """#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children={workers}
tcp_children=2
auto_aliases=no
dns=no
rev_dns=no
listen=udp:{name}:{port}
listen=tcp:{host}:{port}
tcp_accept_no_cl=yes
tcp_rd_buf_size=262144
tcp_conn_wq_max=33554432
tcp_wq_max=67108864
tcp_connection_lifetime=3600
pv_buffer_size=200000
max_while_loops=3000000
mpath="{modules}/"
"""

PARAMETERS = """modparam("jsonrpcs","transport",1)
modparam("dmq","server_address","{uri}")
modparam("dmq","ping_interval",{ping_interval})
modparam("dmq","num_workers",{workers})
modparam("htable","enable_dmq",1)
modparam("htable","dmq_init_sync",{init_sync})
modparam("htable","timer_interval",1)
"""

ROUTES = """
request_route {{
{kdmq}{requests}
  sl_send_reply("405","Method Not Allowed");
}}

# Body: TABLE_NUMBER/KEY_HEX/ARGUMENT (a number, or a string in hexadecimal). "keep" takes a long string by
# pieces (0 in place of the table: the first one), as a request may be too long for Kamailio itself.
event_route[xhttp:request] {{
  if($hu =~ "^/rpc") {{ jsonrpc_dispatch(); exit; }}
  $var(op) = $(hu{{s.select,2,/}});
  $var(table) = $(rb{{s.select,0,/}}{{s.int}});
  $var(key) = $(rb{{s.select,1,/}}{{s.decode.hexa}});
  $var(arg) = $(rb{{s.select,2,/}});
  $var(answer) = "";
  if($var(op) == "keep") {{
    if($var(table) == 0) $shv(kept) = "";
    $var(str) = $(var(arg){{s.decode.hexa}});
    $shv(kept) = $shv(kept) + $var(str);
    xhttp_reply("200", "OK", "text/plain", "ok");
    exit;
  }}
{branches}
  xhttp_reply("400", "No Such Table", "text/plain", "no such table");
}}
"""

KDMQ_ROUTE = """  if(is_method("KDMQ")) { dmq_handle_message(); exit; }
"""
#: A script that takes part in a channel: it keeps what it hears last, and says something each second.
HEARING = """  if(is_method("KDMQ") && $rU == "{channel}" && dmq_is_from_node()) {{
    $sht({table}=>heard-{host}) = $rb;
    sl_send_reply("200", "OK"); exit;
  }}
"""
SAYING = """
loadmodule "rtimer.so"
modparam("rtimer", "timer", "name=tick;interval=1;mode=1;")
modparam("rtimer", "exec", "timer=tick;route=TICK")
route[TICK] {{
  $shv(ticks) = $shv(ticks) + 1;
  dmq_bcast_message("{channel}", "tick $shv(ticks) of {host}", "text/plain");
}}
"""
REGISTRAR = """
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "dmq_usrloc.so"
modparam("usrloc","db_mode",0)
modparam("dmq_usrloc","enable",1)
modparam("dmq_usrloc","sync",1)
"""
REGISTRAR_ROUTE = """  if(is_method("REGISTER")) { save("location"); exit; }"""

BRANCH = """
  if($var(table) == {number}) {{
    switch($var(op)) {{
      case "sets":
        $var(str) = $(var(arg){{s.decode.hexa}});
        $sht({t}=>$var(key)) = $var(str);
        break;
      case "setsex":
        $var(str) = $(rb{{s.select,3,/}}{{s.decode.hexa}});
        $sht({t}=>$var(key)) = $var(str);
        $shtex({t}=>$var(key)) = $(var(arg){{s.int}});
        break;
      case "setsagain":
        $var(str) = $(var(arg){{s.decode.hexa}});
        $sht({t}=>$var(key)) = "before";
        $sht({t}=>$var(key)) = $var(str);
        break;
      case "setsgone":
        $var(str) = $(var(arg){{s.decode.hexa}});
        $sht({t}=>$var(key)) = $var(str);
        $sht({t}=>$var(key)) = $null;
        break;
      case "setkept":
        $sht({t}=>$var(key)) = $shv(kept);
        break;
      case "seti":
        $sht({t}=>$var(key)) = $(var(arg){{s.int}});
        break;
      case "expire":
        $shtex({t}=>$var(key)) = $(var(arg){{s.int}});
        break;
      case "delete":
        $sht({t}=>$var(key)) = $null;
        break;
      case "incr":
        $var(answer) = $shtinc({t}=>$var(key));
        break;
      case "decr":
        $var(answer) = $shtdec({t}=>$var(key));
        break;
      case "rmnre":
        sht_rm_name("{t}", "re", "$var(key)");
        break;
      case "rmnsw":
        sht_rm_name("{t}", "sw", "$var(key)");
        break;
      case "rmvre":
        sht_rm_value("{t}", "re", "$var(key)");
        break;
      case "rmvsw":
        sht_rm_value("{t}", "sw", "$var(key)");
        break;
      case "rmnew":
        sht_rm_name("{t}", "ew", "$var(key)");
        break;
      case "rmnin":
        sht_rm_name("{t}", "in", "$var(key)");
        break;
      case "reset":
        sht_reset("{t}");
        break;
      case "iterrm":
        sht_iterator_start("it", "{t}");
        while(sht_iterator_next("it")) {{ sht_iterator_rm("it"); }}
        sht_iterator_end("it");
        break;
      case "get":
        if($sht({t}=>$var(key)) == $null) {{
          $var(answer) = "null ";
        }} else if(is_int("$sht({t}=>$var(key))")) {{
          $var(answer) = "int " + $sht({t}=>$var(key));
        }} else {{
          $var(str) = $(sht({t}=>$var(key)){{s.substr,0,{piece}}});
          $var(answer) = "str " + $(sht({t}=>$var(key)){{s.len}}) + " " + $(var(str){{s.encode.hexa}});
        }}
        break;
      case "getpart":
        $var(i) = $(var(arg){{s.int}});
        $var(str) = "";
        if($var(i) < $(sht({t}=>$var(key)){{s.len}})) {{
          $var(str) = $(sht({t}=>$var(key)){{s.substr,$var(i),{piece}}});
        }}
        $var(answer) = $(var(str){{s.encode.hexa}});
        break;
      case "ttl":
        if($shtex({t}=>$var(key)) != $null) $var(answer) = $shtex({t}=>$var(key));
        break;
      case "fast":
        $var(n) = $(var(arg){{s.int}});
        $var(i) = 0;
        while($var(i) < $var(n)) {{
          $sht({t}=>$var(key)$var(i)) = "v" + $var(i);
          $var(i) = $var(i) + 1;
        }}
        break;
      case "missing":
        $var(n) = $(var(arg){{s.int}});
        $var(i) = 0;
        $var(missing) = 0;
        while($var(i) < $var(n)) {{
          if($sht({t}=>$var(key)$var(i)) == $null) $var(missing) = $var(missing) + 1;
          $var(i) = $var(i) + 1;
        }}
        $var(answer) = $var(missing);
        break;
      default:
        xhttp_reply("400", "No Such Operation", "text/plain", "no such operation");
        exit;
    }}
    xhttp_reply("200", "OK", "text/plain", "ok$var(answer)");
    exit;
  }}
"""


def table_names(tables: Sequence[str]) -> list[str]:
    """The names in htable declarations (`users=>size=12;...`)."""
    return [table.partition("=>")[0].strip() for table in tables]


def configuration(
    *,
    modules: Path,
    uri: str,
    host: str,
    name: str,
    port: int,
    tables: Sequence[str],
    seeds: Sequence[str],
    workers: int,
    ping_interval: int,
    init_sync: bool,
    registrar: bool,
    route: bool,
    extra: str,
    channel: str = "",
    requests: str = "",
) -> str:
    """The whole configuration file. `name`: what it calls itself. `extra` goes before the routes (more
    parameters), `requests` into the request route, after the line for KDMQ."""
    parts = [HEAD.format(host=host, name=name, port=port, modules=modules, workers=workers)]
    parts += [f'loadmodule "{module}.so"\n' for module in MODULES]
    parts.append(
        PARAMETERS.format(uri=uri, ping_interval=ping_interval, workers=workers, init_sync=int(init_sync))
    )
    parts += [f'modparam("dmq","notification_address","{seed}")\n' for seed in seeds]
    parts += [f'modparam("htable","htable","{table}")\n' for table in tables]
    parts += [REGISTRAR if registrar else "", extra]
    hearing = ""
    if channel:
        parts.append(SAYING.format(channel=channel, host=host))
        hearing = HEARING.format(channel=channel, host=host, table=table_names(tables)[0])
    names = enumerate(table_names(tables))
    branches = "".join(BRANCH.format(number=i, t=name, piece=PIECE_BYTES) for i, name in names)
    parts.append(
        ROUTES.format(
            branches=branches,
            kdmq=hearing + (KDMQ_ROUTE if route else ""),
            requests=(REGISTRAR_ROUTE if registrar else "") + requests,
        )
    )
    return "".join(parts)
