package Browser;

# Chromium without a window, driven through chromedriver (W3C WebDriver).
#
#     my $b = Browser->new($gw->dir) or plan skip_all => Browser::missing();
#     $b->visit($gw->url('/catalog.html'));
#     $b->type('#search', 'claude');
#     ok wait_until(sub { $b->run('return document.title') eq '...' });
#     $b->size(375, 800);
#     $b->press(Browser::ENTER);
#
# Both processes belong to the test and end with the object.  The browser gets
# a new profile and no background networking: it asks nobody but the gateway.

use v5.28;
use warnings;

use HTTP::Tiny;
use JSON::PP ();

use Host qw(free_port start_process wait_until);
use Services;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $element = 'element-6066-11e4-a52e-4f735466cecf';

use constant {
    ENTER  => "\x{e007}",
    ESCAPE => "\x{e00c}",
    TAB    => "\x{e004}",
    UP     => "\x{e013}",
    DOWN   => "\x{e015}",
};

my @arguments = (qw(--headless --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-dev-shm-usage --no-sandbox), '--window-size=1280,900');


sub missing {
    for my $program (qw(chromium chromedriver)) {
        return "$program is not installed; run tools/deps all"
            if !grep { -x "$_/$program" } split /:/, $ENV{PATH};
    }

    return;
}


sub new {
    my ($class, $dir) = @_;

    my $port = free_port(Services::base());
    my $self = bless { dir => $dir, base => "http://127.0.0.1:$port",
                       http => HTTP::Tiny->new(timeout => 120) }, $class;

    mkdir "$dir/browser";
    local $ENV{HOME} = "$dir/browser";
    $self->{driver} = start_process("$dir/chromedriver.log", 'chromedriver',
                                    "--port=$port", '--allowed-ips=127.0.0.1');

    wait_until(sub { $self->{http}->get("$self->{base}/status")->{success} },
               60) or die "chromedriver does not answer\n";

    my $value = $self->command(POST => '/session', { capabilities => {
        alwaysMatch => { browserName => 'chrome', 'goog:chromeOptions' => {
            args => [ @arguments, "--user-data-dir=$dir/browser/profile" ],
        }, 'goog:loggingPrefs' => { browser => 'ALL' } },
    } });

    $self->{session} = "/session/$value->{sessionId}";
    return $self;
}


sub command {
    my ($self, $method, $path, $body) = @_;

    my $answer = $self->{http}->request($method, $self->{base} . $path,
        defined $body ? { content => $json->encode($body), headers => {
            'Content-Type' => 'application/json' } } : {});
    my $value = eval { $json->decode($answer->{content})->{value} };

    die "$method $path: $answer->{status} "
        . ($value->{message} // $answer->{content}) . "\n"
        if !$answer->{success};

    return $value;
}


sub session {
    my ($self, $method, $path, $body) = @_;

    return $self->command($method, $self->{session} . $path,
                          $body // ($method eq 'POST' ? {} : undef));
}


sub visit {
    my ($self, $url) = @_;

    $self->session(POST => '/url', { url => $url });
    return $self;
}


# runs a script in the page; what it returns comes back

sub run {
    my ($self, $script, @arguments) = @_;

    return $self->session(POST => '/execute/sync',
                          { script => $script, args => \@arguments });
}


sub find {
    my ($self, $selector) = @_;

    return $self->session(POST => '/element', { using => 'css selector',
                          value => $selector })->{$element};
}


sub click {
    my ($self, $selector) = @_;

    $self->session(POST => '/element/' . $self->find($selector) . '/click');
    return $self;
}


sub type {
    my ($self, $selector, $text) = @_;

    $self->session(POST => '/element/' . $self->find($selector) . '/value',
                   { text => $text });
    return $self;
}


# keys to whatever has the focus

sub press {
    my ($self, @keys) = @_;

    $self->session(POST => '/actions', { actions => [ { type => 'key',
        id => 'keyboard', actions => [ map { ({ type => 'keyDown',
        value => $_ }, { type => 'keyUp', value => $_ }) } @keys ] } ] });
    return $self;
}


# the visible text of all elements that match

sub texts {
    my ($self, $selector) = @_;

    return @{ $self->run('return [...document.querySelectorAll(arguments[0])]'
                          . '.map((e) => e.innerText)', $selector) };
}


sub size {
    my ($self, $width, $height) = @_;

    $self->session(POST => '/goog/cdp/execute', {
        cmd => 'Emulation.setDeviceMetricsOverride',
        params => { width => $width, height => $height,
                    deviceScaleFactor => 1, mobile => JSON::PP::true },
    });
    return $self;
}


sub colours { return $_[0]->prefers('color-scheme', $_[1]); }


# what the visitor has asked for: prefers('reduced-motion', 'reduce')

sub prefers {
    my ($self, $what, $value) = @_;

    $self->session(POST => '/goog/cdp/execute', {
        cmd => 'Emulation.setEmulatedMedia', params => { features => [
            { name => "prefers-$what", value => $value } ] },
    });
    return $self;
}


# from now on no page can use these: "sockets" (WebSocket), "streams" (of text)

sub without {
    my ($self, @ways) = @_;

    my %names = (sockets => 'WebSocket', streams => 'TextDecoderStream');
    my $cdp = sub {
        return $self->session(POST => '/goog/cdp/execute',
                              { cmd => "Page.$_[0]", params => $_[1] });
    };

    $cdp->('removeScriptToEvaluateOnNewDocument',
           { identifier => delete $self->{without} }) if $self->{without};

    $self->{without} = $cdp->('addScriptToEvaluateOnNewDocument', {
        source => join '', map { "window.$names{$_} = function () {"
            . qq( throw new Error("there are no $_ here"); };) } @ways,
    })->{identifier};
    return $self;
}


# what the page complained about

sub complaints {
    my ($self) = @_;

    return map { $_->{message} } grep { $_->{level} eq 'SEVERE' }
           @{ $self->session(POST => '/se/log', { type => 'browser' }) };
}


sub screenshot {
    my ($self, $file) = @_;

    require MIME::Base64;
    return Host::spew($file, MIME::Base64::decode_base64(
                          $self->session(GET => '/screenshot')));
}


sub DESTROY {
    my ($self) = @_;

    return if !$self->{driver};
    local ($?, $@);

    eval { $self->command(DELETE => $self->{session}) } if $self->{session};
    kill 'TERM', delete $self->{driver};
}


1;
