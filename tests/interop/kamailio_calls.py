"""What a Kamailio's configuration gets so that it follows calls, and takes publications and subscriptions,
and shares both over DMQ: for `extra_cfg` and `requests` of kamailio.py.
"""

from pathlib import Path

from tests.interop.releases import Release, find

CALLS = """
loadmodule "siputils.so"
loadmodule "rr.so"
loadmodule "dialog.so"
modparam("rr","enable_full_lr",1)
modparam("dialog","enable_dmq",1)
modparam("dialog","db_mode",0)
modparam("dialog","hash_size",4096)
modparam("dialog","default_timeout",{lifetime})
modparam("dialog","profiles_with_value","caller")
modparam("dialog","profiles_no_value","outbound")
"""

#: A proxy in the path of the whole call.
CALLS_ROUTE = """
  if(is_method("INVITE|ACK|BYE|CANCEL|PRACK|UPDATE")) {
    if(has_totag()) {
      if(loose_route() || t_check_trans()) t_relay();
      exit;
    }
    if(is_method("CANCEL")) { if(t_check_trans()) t_relay(); exit; }
    record_route();
    dlg_manage();
    $dlg_var(tenant) = "t1";
    set_dlg_profile("caller", "$fu");
    set_dlg_profile("outbound");
    t_relay();
    exit;
  }
"""

PRESENCE = """
loadmodule "presence.so"
loadmodule "presence_xml.so"
modparam("presence","db_url","text://{database}")
modparam("presence_xml","db_url","text://{database}")
modparam("presence_xml","force_active",1)
modparam("presence","server_address","{uri}")
modparam("presence","enable_dmq",1)
modparam("presence","subs_db_mode",0)
modparam("presence","publ_cache",2)
"""

SUBSCRIPTIONS = """
modparam("presence","enable_subs_dmq",1)
modparam("presence","enable_subs_sync_dmq",1)
"""

PRESENCE_ROUTE = """
  if(is_method("PUBLISH|SUBSCRIBE")) {
    if(!t_newtran()) { sl_reply_error(); exit; }
    if(is_method("PUBLISH")) handle_publish(); else handle_subscribe();
    exit;
  }
"""


def calls_cfg(lifetime: int = 43_200) -> str:
    """Module dialog, each call of at most `lifetime` seconds."""
    return CALLS.format(lifetime=lifetime)


def presence_cfg(uri: str, database: Path, *, subscriptions: bool = False) -> str:
    """Module presence, what is published in memory alone; the tables that it wants to see nevertheless are
    in a folder of text files. `subscriptions`: it shares them too; from 6.1 on."""
    return PRESENCE.format(uri=uri, database=database) + (SUBSCRIPTIONS if subscriptions else "")


def empty_tables(release: Release) -> Path:
    """The folder of empty tables that comes with a release."""
    return find(release).modules.parents[3] / "share" / "kamailio" / "dbtext" / "kamailio"
