#!/usr/bin/perl

# A visitor opens a site while the gateway is still loading.  The overlay says
# how far it is, can be put aside, and goes by itself; what the site has sent
# meanwhile is held and arrives once, when the models are ready; all that by
# WebSocket, by server-sent events and by polling.  What would break: a request
# that is lost or sent twice, a visitor who is shut out of the rest of the site,
# an overlay that stays, or that a strict policy or the site's own styles spoil.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Browser;

BEGIN {
    my $missing = Browser::missing();
    plan skip_all => $missing if $missing;
}

use Gateway;
use Host qw(free_port spew top wait_until);
use Upstream;

my $html = top() . '/html';

my $up = Upstream->new(sub {
    my ($req) = @_;
    return { json => { method => $req->{method}, body => $req->{body} } };
});

my $plain = free_port();

my $gw = Gateway->new(
    http => "    include /etc/nginx/mime.types;\n",
    servers => <<END,
    server {
        listen 127.0.0.1:$plain;
        location / { root $html; }
    }
END
    more => <<END);
        location / { root $html; }
        location /ws/ { model_api; }

        location /ai/ {
            model_require_ready on;
            proxy_pass @{[ $up->url ]};
        }

        location = /ai/stuck {
            default_type application/json;
            add_header Retry-After 10 always;
            return 425 '{"type": "initialization"}';
        }

        location /site/ { root @{[ '%DIR%' ]}; }

        location = /site/answer.html {
            root %DIR%;
            model_require_ready on;
            error_page 425 /site/wait.html;
        }
END

my $dir = $gw->dir;
$gw->{more} =~ s/%DIR%/$dir/g;
mkdir "$dir/site";

# a site with a look of its own, which must not reach into the overlay
spew("$dir/site/site.css", '* { color: red !important; font-size: 40px }'
     . 'dialog, button, p { display: none !important }');

my $head = '<!DOCTYPE html><meta charset="utf-8"><title>site</title>'
         . '<link rel="icon" href="data:,"><link rel="stylesheet"'
         . ' href="/site/site.css">';

spew("$dir/site/blocked.html", $head
     . '<script src="/model-loading.js" data-show="blocked"></script>');
spew("$dir/site/never.html", $head
     . '<script src="/model-loading.js" data-show="never"'
     . ' data-patience="1"></script>');
spew("$dir/site/wait.html", $head
     . '<script src="/model-loading.js" data-reload></script><h1>wait</h1>');
spew("$dir/site/answer.html", $head . '<h1>the answer</h1>');


# nginx runs, its database does not answer, and it has no snapshot either

sub start_loading {
    $gw->stop if $gw->pid;
    unlink glob("$dir/state/*.snap"), "$dir/state/confirmed";
    $gw->away;
    $gw->start;
    $up->forget;
}


my $page = Browser->new($gw->dir);

# the overlay's elements are in a tree of their own
my $overlay = sub {
    my ($script) = @_;

    return $page->run('const root = document.querySelector("model-loading")'
        . '?.shadowRoot; if (!root) return null;'
        . 'const $ = (s) => root.querySelector(s);' . $script);
};
my $open = sub { return $overlay->('return $("dialog").open') // 0; };
my $said = sub { return $overlay->("return \$('$_[0]').innerText") // ''; };

# sends from the page without waiting; the answers are kept there

my $send = sub {
    my ($name, $init) = @_;

    $page->run('window.answers ??= {}; window.cuts ??= {};'
        . 'const [name, init] = arguments;'
        . 'const cut = window.cuts[name] = new AbortController();'
        . 'fetch("/ai/" + name, { ...init, signal: cut.signal })'
        . '.then(async (r) => { window.answers[name] = '
        . '{ status: r.status, json: await r.json() }; },'
        . '(e) => { window.answers[name] = { error: e.name }; });',
        $name, $init // {});
};
my $answer = sub {
    return $page->run('return window.answers[arguments[0]] ?? null', $_[0]);
};

for my $way ([ 'WebSocket' ], [ 'events', 'sockets' ],
             [ 'polling', 'sockets', 'streams' ])
{
    my ($name, @off) = @$way;

    subtest "by $name" => sub {
        start_loading();
        $page->without(@off);
        $page->visit($gw->url('/loading-demo.html'));
        is $page->run('return document.querySelector("h1").textContent'),
           'A site that uses the gateway', 'the site itself is there at once';

        ok wait_until($open), 'with an overlay';
        ok wait_until(sub { $said->('.soft:last-of-type') eq $name
                            || $said->('button + .soft') eq $name }),
           "that is told by $name" or diag $said->('dialog');
        is $said->('li[aria-current]'), 'connecting', 'the phase';
        like $said->('#message'), qr/database/, 'what is waited for';
        is $overlay->('return $("[role=progressbar]")'
            . '.getAttribute("aria-valuenow") + " %"'),
           $said->('.line span'), 'a bar, for those who do not see it too';
        like $overlay->('return $("[aria-live=polite]").textContent'),
             qr/^connecting, \d+ percent/, 'and aloud';

        # what is sent while the overlay is there, and behind it
        $send->(one => { method => 'POST', body => 'first' });
        ok wait_until(sub { $said->('dialog') =~ /1 request waits/ }),
           'a request is held';
        is $page->run('return document.activeElement.localName'),
           'model-loading', 'the keys are the overlay\'s';

        $page->press(Browser::ESCAPE);
        ok wait_until(sub { !$open->() }), 'Escape puts it aside';
        like $said->('.badge'), qr/^AI models: \d+ %$/, 'a sign stays';
        like $overlay->('return [...root.children].find((e) =>'
            . 'e.role === "status")?.textContent') // '', qr/^connecting, \d+ perc/,
            'and a voice';
        $page->type('[name=message]', ' there');
        is $page->run('return document.querySelector("[name=message]").value'),
           'Hello there', 'the site can be used';

        $send->('two', { method => 'PUT', body => 'x' x 100_000 });
        $send->('cut');
        ok wait_until(sub {
            $overlay->('$(".badge").click(); return $("dialog").open');
        }), 'the sign opens it';
        ok wait_until(sub { $said->('dialog') =~ /3 requests wait/ }),
           'three are held';
        $page->run('window.cuts.cut.abort()');
        ok wait_until(sub { $answer->('cut') }), 'who gives up,';
        is $answer->('cut')->{error}, 'AbortError', 'gives up at once';
        ok !$answer->('one'), 'the others wait';
        is scalar($up->requests), 0, 'nothing has got through';

        $page->run('window.ready = 0; document.addEventListener('
            . '"model-ready", () => window.ready++)');
        $gw->back;
        ok wait_until(sub { $answer->('one') && $answer->('two') }, 60),
           'when the gateway is ready they are answered';
        is $answer->('one')->{status}, 200, 'well';
        is $answer->('one')->{json}{body}, 'first', 'with their body';
        is length $answer->('two')->{json}{body}, 100_000, 'a long one too';
        is join(' ', sort map { $_->{method} } $up->requests), 'POST PUT',
           'each was sent once';
        ok wait_until(sub { !$open->() }), 'the overlay goes';
        is $overlay->('return $(".badge").hidden'), 1, 'without a trace';
        is $page->run('return window.ready'), 1, 'and the site is told';

        $page->visit($gw->url('/loading-demo.html'));
        is $page->run('return modelLoading.ready().then((s) => s.status)'),
           'ready', 'the next visitor';
        ok !defined $overlay->('return 1'), 'sees none';
    };
}


subtest 'the gateway is restarted meanwhile' => sub {
    start_loading();
    $page->without();
    $page->visit($gw->url('/loading-demo.html'));
    ok wait_until($open), 'an overlay';
    $send->(held => { method => 'POST', body => 'kept' });
    ok wait_until(sub { $said->('dialog') =~ /1 request waits/ }), 'it waits';
    $gw->stop;
    ok wait_until(sub { $said->('#message') =~ /does not answer/ }, 60),
       'nobody answers, and it says so';
    $gw->back;
    $gw->start->wait_ready;
    ok wait_until(sub { $answer->('held') }, 60), 'then somebody does';
    is $answer->('held')->{json}{body}, 'kept', 'and what was held goes out';
    ok wait_until(sub { !$open->() }), 'the overlay goes';
};


subtest 'as the site wants it' => sub {
    start_loading();

    $page->visit($gw->url('/site/blocked.html'));
    $page->run('return new Promise((ok) => setTimeout(ok, 600))');
    ok !defined $overlay->('return 1'), 'blocked: nobody is bothered';
    $send->('later');
    ok wait_until($open), 'until something has to wait';
    like $said->('h2'), qr/AI models are loading/, 'its own styles';
    is $overlay->('return getComputedStyle($("h2")).fontSize'), '18.4px',
       'are not the site\'s';

    $page->visit($gw->url('/site/never.html'));
    $send->('soon');
    ok wait_until(sub { $answer->('soon') }), 'never: patience ends,';
    is $answer->('soon')->{status}, 425, 'the site gets what was answered';
    is $answer->('soon')->{json}{type}, 'initialization', 'all of it';
    ok !defined $overlay->('return 1'), 'without an overlay';

    $page->visit($gw->url('/site/answer.html'));
    is $page->run('return document.querySelector("h1").textContent'), 'wait',
       'a page that was blocked';
    ok wait_until($open), 'has a place holder';
    $gw->back;
    ok wait_until(sub {
        eval { $page->run('return document.querySelector("h1").textContent')
               eq 'the answer' };
    }, 60), 'and is loaded when it can be';
};


subtest 'what is ready, and what is nobody\'s' => sub {
    $gw->wait_ready;

    # a place holder that somebody opens as such
    $page->visit($gw->url('/site/wait.html'));
    ok wait_until(sub { $page->run('return modelLoading.ready()'
        . '.then(() => window.mark = 1)') }), 'ready';
    $page->run('return new Promise((ok) => setTimeout(ok, 1500))');
    is $page->run('return window.mark'), 1, 'it is not loaded again';

    # one location still has reasons to wait
    $send->('stuck');
    ok wait_until(sub { 2 <= $page->run('return performance'
        . '.getEntriesByName(location.origin + "/ai/stuck").length') }),
       'what is blocked by a gateway that is ready is sent again';
    $page->run('window.cut = performance.now(); window.cuts.stuck.abort()');
    ok wait_until(sub { $answer->('stuck') }), 'and can be given up';
    cmp_ok $page->run('return performance.now() - window.cut'), '<', 6000,
           'before its next time';

    # a site without a gateway
    $page->visit("http://127.0.0.1:$plain/loading-demo.html");
    ok $page->run('return modelLoading.ready().then(() => true)'),
       'nobody to wait for';
    $page->run('return new Promise((ok) => setTimeout(ok, 500))');
    ok !$open->(), 'no overlay';
    is $page->run('return fetch("/ai/x").then((r) => r.status)'), 404,
       'its requests are its own';
};


subtest 'phone, dark and light, little motion' => sub {
    start_loading();

    for my $width (360, 1280) {
        $page->size($width, 640);
        $page->visit($gw->url('/loading-demo.html'));
        ok wait_until($open), 'an overlay';
        cmp_ok $overlay->('return $("dialog").getBoundingClientRect().width'),
               '<=', $width - 16, "fits into $width pixels";
        cmp_ok $page->run('return document.documentElement.scrollWidth'),
               '<=', $width, 'as does the page';
    }

    my %colour;

    for my $scheme ('light', 'dark') {
        $page->colours($scheme);
        $colour{$scheme} = $overlay->('const l = (t) => { const [r, g, b] = '
            . 't.match(/\d+/g).map((v) => { v /= 255; return v <= 0.03928 ? '
            . 'v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); '
            . 'return 0.2126 * r + 0.7152 * g + 0.0722 * b; };'
            . 'const ground = l(getComputedStyle($("dialog")).backgroundColor);'
            . 'return [ground, Math.min(...["h2", "li", "#message", "button"]'
            . '.map((s) => { const text = l(getComputedStyle($(s)).color);'
            . 'return (Math.max(text, ground) + 0.05)'
            . ' / (Math.min(text, ground) + 0.05); }))]');
        cmp_ok $colour{$scheme}[1], '>=', 4.5, "$scheme: text can be read";
    }

    cmp_ok $colour{dark}[0], '<', $colour{light}[0],
           'the colours follow the system';

    my $moves = 'return getComputedStyle($(".bar")).transitionDuration'
              . ' !== "0s"';
    ok $overlay->($moves), 'the bar glides';
    $page->prefers('reduced-motion', 'reduce');
    ok !$overlay->($moves), 'but not for those who asked for little motion';
    $gw->back;
    $gw->wait_ready;
};

# what was refused or broken off is in a browser's log as well
is_deeply [ grep { !/\b425\b|\b404\b|ERR_|WebSocket connection/ } $page->complaints ],
          [], 'the page complained of nothing';

undef $page;

done_testing;
